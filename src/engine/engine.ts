/**
 * Token ids in, token ids out, one step at a time: the part of the server that could be read and benchmarked alone. Synchronous; its
 * owner calls `step` while it `hasWork`, and adds and aborts between steps.
 */
import type { Clock } from '../core/clock.ts';
import { assert } from '../core/errors.ts';
import type { FinishReason } from '../core/generation.ts';
import type { Epoch } from '../core/ids.ts';
import { type Constraints, waitForMasks } from './constraint.ts';
import { KvCache } from './kv/kv-cache.ts';
import { LiveRequests } from './live-requests.ts';
import { LogprobReader } from './logprobs.ts';
import { packPromptLogprobs } from './prompt-logprobs.ts';
import { uniform } from './random.ts';
import type { AddResult, EngineRequest, EngineStats, LogprobEntry, PromptLogprobEntry, PromptLogprobs, SequenceOutput } from './request.ts';
import type { ModelRunner } from './runner/model-runner.ts';
import { LogitsError, neededLogits, Sampler } from './sampler.ts';
import { Scheduler } from './scheduler.ts';
import { Sequence } from './sequence.ts';
import { SequenceError } from './sequence-error.ts';
import { EngineCounters, LoadMeter } from './stats.ts';
import type { KvOp, SequenceResult, StepInput, StepSequence } from './step.ts';

export interface EngineOptions {
  readonly runner: ModelRunner;
  readonly groupEpoch: Epoch;
  /** Rows of the runner: sequences that run at the same time. */
  readonly maxNumSeqs: number;
  /** Tokens of one step; decodes come first and are never left out. */
  readonly maxNumBatchedTokens: number;
  /** Prompt plus output, in tokens. */
  readonly maxModelLen: number;
  /** Tokens. */
  readonly blockSize: number;
  /** Budget of the KV cache in blocks: rows in use plus prefix cache. */
  readonly numBlocks: number;
  /** Blocks of the runner's pool; numBlocks unless given. The prefix cache never holds more. */
  readonly numPoolBlocks?: number;
  readonly enablePrefixCaching: boolean;
  readonly enableChunkedPrefill: boolean;
  /** Requests that may wait beyond those that free rows will take in the next step. */
  readonly maxNumWaiting: number;
  /** Numerics of this engine; only equal ones share cached blocks. */
  readonly fingerprint: string;
  readonly clock: Pick<Clock, 'monotonic'>;
  /** Grammars; absent = constrained requests end with an error. */
  readonly constraints?: Constraints;
}

export interface StepReport {
  /** Of the last step that the runner was given; 0 before the first. */
  readonly stepId: number;
  readonly outputs: readonly SequenceOutput[];
  /** Why outputs with finish 'error' could not go on. */
  readonly errors: readonly SequenceError[];
}

const NO_DRAFT: readonly number[] = [];
/** Of prompts, in one step: logits that are read (16 MB; about 10 ms), and values that a frame takes to the frontend (2 MB). */
const MAX_LOGITS_READ = 2 ** 21;
const MAX_VALUES_TOLD = 2 ** 18;
/** After a late mask, a sequence runs for so many tokens only with its mask in hand: nobody waits for it again at once. */
const LATE_TOKENS = 16;

export class Engine {
  readonly #runner: ModelRunner;
  readonly #options: EngineOptions;
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #kv: KvCache;
  readonly #scheduler: Scheduler;
  readonly #sampler: Sampler;
  readonly #logprobs: LogprobReader;
  readonly #requests = new LiveRequests();
  readonly #counters = new EngineCounters();
  readonly #load = new LoadMeter();
  /** Known tokens at which a sequence ends: the model's limit, or one more than the whole KV cache can hold. */
  readonly #maxLen: number;
  /** Tokens of a prompt that nothing is generated after. */
  readonly #maxPooledLen: number;
  #stepId = 0;
  /** Nothing could be scheduled: what runs waits for masks. Over when one has come, or with an add or an abort. */
  #isHeldUp = false;
  #isFrozen = false;
  #arrivals = 0;
  #outputs: SequenceOutput[] = [];
  #errors: SequenceError[] = [];

  constructor(options: EngineOptions) {
    const { runner, numBlocks, blockSize } = options;
    this.#options = options;
    this.#runner = runner;
    this.#clock = options.clock;
    this.#maxLen = Math.min(options.maxModelLen, numBlocks * blockSize + 1);
    this.#maxPooledLen = Math.min(options.maxModelLen, numBlocks * blockSize);
    this.#kv = new KvCache({
      numRows: options.maxNumSeqs,
      numBlocks,
      numPoolBlocks: options.enablePrefixCaching && runner.canCopyBlocks ? (options.numPoolBlocks ?? numBlocks) : 0,
      blockSize,
      canMoveRows: runner.canCopyBlocks,
      fingerprint: options.fingerprint,
    });
    this.#scheduler = new Scheduler({ ...options, kv: this.#kv });
    this.#sampler = new Sampler(runner.vocabSize);
    this.#logprobs = new LogprobReader(runner.vocabSize);
  }

  /** Whether `step` has something to do: sequences, outputs that nobody has seen, or rows to give back. */
  get hasWork(): boolean {
    if (this.#kv.hasPendingOps || this.#outputs.length > 0) return true;
    if (this.#isFrozen) return false;
    const { running, waiting } = this.#scheduler;
    if (this.#isHeldUp && running.length > 0 && running.every((sequence) => sequence.isHeldUp)) return false;
    return running.length > 0 || waiting.length > 0;
  }

  /** One step: schedule, run, sample, and what came of it since the last report. @throws RunnerError: the engine cannot go on. */
  step(): StepReport {
    const startedAtMs = this.#clock.monotonic();
    if (!this.#isFrozen) this.#settleConstraints();
    const scheduled = this.#isFrozen ? [] : this.#scheduler.schedule();
    this.#isHeldUp = scheduled.length === 0;
    const kvOps = this.#kv.takeOps();
    if (scheduled.length > 0 || kvOps.length > 0) {
      const numPrefillTokens = this.#begin(scheduled, startedAtMs);
      const output = this.#runner.collect(this.#runner.submit(this.#stepInput(scheduled, kvOps)));
      if (this.#options.constraints) waitForMasks(this.#options.constraints, this.#clock, scheduled, output.results);
      for (let i = 0; i < scheduled.length; i++) this.#advance(scheduled[i]!, output.results[i]!);
      if (numPrefillTokens > 0) this.#load.observePrefill(numPrefillTokens, this.#clock.monotonic() - startedAtMs);
    }
    const report = { stepId: this.#stepId, outputs: this.#outputs, errors: this.#errors };
    this.#outputs = [];
    this.#errors = [];
    if (!this.hasWork) this.assertIntegrity();
    return report;
  }

  /** Queues a request. Choices that are finished, or turn out to be, are not run. */
  addRequest(request: EngineRequest): AddResult {
    assert(!this.#requests.has(request.key), `request ${request.key} is added twice`);
    this.#isHeldUp = false;
    const refusal = this.#refusal(request);
    if (refusal) {
      this.#options.constraints?.discard(request);
      return refusal;
    }
    const problem = findProblem(request, this.#runner.vocabSize);
    const sequences: Sequence[] = [];
    const arrival = this.#arrivals++;
    let position = 0;
    for (const choice of request.choices) {
      if (choice.finished) continue;
      const constraint = request.params.constraint === null ? null : this.#constraints.open(request, choice);
      const sequence = new Sequence(request, choice.index, choice.outputIds, arrival, this.#leaderFor(request, sequences), constraint);
      if (request.params.promptLogprobs !== null && sequences.length === 0) this.#askForPromptLogprobs(sequence);
      const finish = problem !== null ? 'error' : sequence.needsPromptLogprobs ? null : sequence.finishReason(this.#maxLen);
      if (problem !== null) this.#errors.push(this.#errorOf(sequence, problem));
      if (finish !== null) {
        sequence.state = 'finished';
        constraint?.close();
        this.#emit(sequence, [], finish, null);
        continue;
      }
      const numAhead = this.#scheduler.add(sequence);
      if (sequences.push(sequence) === 1) position = this.#requestsAhead(numAhead);
    }
    this.#requests.add(request, sequences);
    return { type: 'ack', position };
  }

  /** Ends a choice, or all, with finish 'abort' in the next report. Unknown keys are ignored: the request may just have ended. */
  abort(key: string, choice?: number): void {
    this.#isHeldUp = false;
    for (const sequence of this.#requests.sequencesOf(key)) {
      if (choice !== undefined && sequence.choice !== choice) continue;
      this.#end(sequence, true);
      this.#emit(sequence, [], 'abort', null);
    }
  }

  /** Frozen, sequences stand still between two tokens: adds wait, aborts take effect. */
  setFrozen(isFrozen: boolean): void {
    this.#isFrozen = isFrozen;
    this.#isHeldUp = false;
  }

  stats(): EngineStats {
    return {
      numRunning: this.#scheduler.running.length,
      numWaiting: this.#scheduler.waiting.length,
      numBlocks: this.#kv.numBlocks,
      numUsedBlocks: this.#kv.numUsedBlocks,
      numCachedBlocks: this.#kv.numCachedBlocks,
      prefixCacheQueryTokens: this.#counters.prefixCacheQueryTokens,
      prefixCacheHitTokens: this.#counters.prefixCacheHitTokens,
      numPreemptions: this.#scheduler.numPreemptions,
      promptTokens: this.#counters.promptTokens,
      generationTokens: this.#counters.generationTokens,
      numSteps: this.#counters.numSteps,
      queuedPrefillTokens: this.#queuedPrefillTokens(),
    };
  }

  /** Counts everything again, as the engine itself does whenever it becomes idle. @throws Error with the numbers that disagree. */
  assertIntegrity(): void {
    const { running, waiting } = this.#scheduler;
    this.#kv.assertIntegrity(running);
    this.#requests.assertIntegrity(running.length + waiting.length);
  }

  // ---- one step

  /** Notes which sequences start with this step. @returns its tokens beyond decode. */
  #begin(scheduled: readonly Sequence[], nowMs: number): number {
    let numPrefillTokens = 0;
    for (const sequence of scheduled) {
      if (sequence.numUncomputed > 1) numPrefillTokens += sequence.numScheduled;
      if (sequence.startedAtMs === null) this.#start(sequence, nowMs);
    }
    return numPrefillTokens;
  }

  #start(sequence: Sequence, nowMs: number): void {
    sequence.startedAtMs = nowMs;
    this.#counters.prefixCacheQueryTokens += sequence.numPromptTokens;
    this.#counters.prefixCacheHitTokens += sequence.numCachedPromptTokens;
    if (this.#requests.start(sequence)) this.#counters.promptTokens += sequence.numPromptTokens;
  }

  #stepInput(scheduled: readonly Sequence[], kvOps: readonly KvOp[]): StepInput {
    this.#counters.numSteps++;
    let numTokens = 0;
    for (const sequence of scheduled) numTokens += sequence.numScheduled;
    const tokenIds = new Int32Array(numTokens);
    const sequences: StepSequence[] = [];
    let start = 0;
    let wantsHidden = false;
    for (const sequence of scheduled) {
      const { numScheduled, numComputed } = sequence;
      for (let i = 0; i < numScheduled; i++) tokenIds[start + i] = sequence.tokenIds[numComputed + i]!;
      const numPromptRows = sequence.promptRowsOf(numScheduled);
      const nextNeeds = numScheduled === sequence.numUncomputed ? neededLogits(sequence.params, sequence.numOutputTokens) : 'none';
      const needs = numPromptRows > 0 ? 'full' : nextNeeds;
      const numLogits = Math.max(numPromptRows, needs === 'none' ? 0 : 1);
      sequences.push({ slot: sequence.slot!, start, numTokens: numScheduled, numComputed, draftTokens: NO_DRAFT, needs, numLogits });
      start += numScheduled;
      if (sequence.params.pooling && numLogits > 0) wantsHidden = true;
    }
    const step = { groupEpoch: this.#options.groupEpoch, stepId: ++this.#stepId, kvOps, tokenIds, sequences };
    return wantsHidden ? { ...step, wantsHidden } : step;
  }

  /** The step computed the sequence's scheduled tokens; if those were the last known ones, there is a new one. */
  #advance(sequence: Sequence, result: SequenceResult): void {
    const isCaughtUp = sequence.numScheduled === sequence.numUncomputed;
    if (sequence.promptRowsOf(sequence.numScheduled) > 0 && !this.#tellPromptLogprobs(sequence, result)) return;
    const isLate = isCaughtUp && sequence.constraint?.state === 'working';
    // Without a mask no token can be chosen, and these logits are gone with the next step: its last token is computed once more.
    sequence.numComputed += sequence.numScheduled - (isLate ? 1 : 0);
    sequence.numScheduled = 0;
    this.#kv.commit(sequence);
    if (isLate) sequence.numLateTokens = LATE_TOKENS;
    if (isLate || !isCaughtUp || this.#endIfComplete(sequence) || this.#takeForced(sequence)) return;
    try {
      if (sequence.params.pooling) return this.#pool(sequence, result);
      const id = sequence.thinking?.forced ?? this.#nextToken(sequence, result);
      const logprobs = this.#logprobsOf(sequence, result, id);
      sequence.append(id);
      sequence.constraint?.accept(id);
      if (sequence.numLateTokens > 0) sequence.numLateTokens--;
      this.#counters.generationTokens++;
      const finish = sequence.finishReason(this.#maxLen);
      this.#emit(sequence, [id], finish, logprobs);
      if (finish !== null) this.#end(sequence, true);
    } catch (error) {
      this.#endForLogits(sequence, error);
    }
  }

  /** @throws what is no LogitsError. */
  #endForLogits(sequence: Sequence, error: unknown): void {
    if (!(error instanceof LogitsError)) throw error;
    // Keys and values that led to such logits are not shared any further.
    this.#end(sequence, false);
    this.#errors.push(this.#errorOf(sequence, error.message, error));
    this.#emit(sequence, [], 'error', null);
  }

  /** A request that is to generate nothing runs for its prompt's log-probabilities only. */
  #endIfComplete(sequence: Sequence): boolean {
    const finish = sequence.params.maxTokens === 0 ? sequence.finishReason(this.#maxLen) : null;
    if (finish === null) return false;
    this.#emit(sequence, [], finish, null);
    this.#end(sequence, true);
    return true;
  }

  // ---- log-probabilities of the prompt

  /** Called before the step's tokens count as computed. @returns false when the sequence is over. */
  #tellPromptLogprobs(sequence: Sequence, result: SequenceResult): boolean {
    assert(result.type === 'full', `${sequence.request.key} got no logits for its prompt`);
    try {
      const told = this.#readPromptLogprobs(sequence, result.logits);
      this.#emit(sequence, [], null, null, { promptLogprobs: told });
      return true;
    } catch (error) {
      this.#endForLogits(sequence, error);
      return false;
    }
  }

  /** The logits of position i are about prompt token i + 1; those of the last one are about the first output. */
  #readPromptLogprobs(sequence: Sequence, logits: Float32Array): PromptLogprobs {
    const { vocabSize } = this.#runner;
    const first = sequence.numComputed + sequence.numScheduled - logits.length / vocabSize;
    const end = Math.min(sequence.numComputed + sequence.numScheduled, sequence.numPromptTokens - 1);
    const entries: PromptLogprobEntry[] = [];
    for (let position = first; position < end; position++) {
      const row = logits.subarray((position - first) * vocabSize, (position - first + 1) * vocabSize);
      entries.push(this.#logprobs.ofPrompt(row, sequence.tokenIds[position + 1]!, sequence.params));
    }
    sequence.numPromptLogprobs = end;
    return packPromptLogprobs(first + 1, entries);
  }

  #lastRow(logits: Float32Array): Float32Array {
    const { vocabSize } = this.#runner;
    return logits.length === vocabSize ? logits : logits.subarray(logits.length - vocabSize);
  }

  /** A pooling request ends with its prompt. */
  #pool(sequence: Sequence, result: SequenceResult): void {
    const hidden = result.type === 'full' ? result.hidden : undefined;
    assert(hidden, `${sequence.request.key} got no hidden state in step ${this.#stepId}`);
    const wrong = hidden.findIndex((value) => !Number.isFinite(value));
    if (wrong >= 0) throw new LogitsError(`value ${wrong} of the hidden state is ${hidden[wrong]}`);
    this.#emit(sequence, [], 'stop', null, { hidden: hidden.slice() });
    this.#end(sequence, true);
  }

  #nextToken(sequence: Sequence, result: SequenceResult): number {
    switch (result.type) {
      case 'argmax': {
        const id = result.tokenIds[0];
        if (id === undefined || id < 0 || id >= this.#runner.vocabSize) throw new LogitsError(`the model's argmax is ${id}`);
        return id;
      }
      case 'full': {
        const { params, history, request, choice } = sequence;
        const draw = params.temperature === 0 ? 0 : uniform(request.seed, choice, sequence.numTokens);
        return this.#sampler.sample(this.#lastRow(result.logits), params, history, draw, sequence.constraint?.mask ?? null);
      }
      default:
        throw new Error(`Invariant broken: ${sequence.request.key} got '${result.type}' in step ${this.#stepId}, which nobody asked for`);
    }
  }

  // ---- grammars

  get #constraints(): Constraints {
    assert(this.#options.constraints, 'a constrained request reached an engine without grammars');
    return this.#options.constraints;
  }

  /** Before a step: sequences whose grammar failed end, and what a grammar leaves no choice about is appended without being sampled. */
  #settleConstraints(): void {
    for (const sequence of this.#scheduler.running.slice()) {
      if (sequence.constraint && sequence.numUncomputed === 1) this.#takeForced(sequence);
    }
  }

  /** Appends the tokens that must come next; they are computed together. @returns whether there were any, or the sequence is over. */
  #takeForced(sequence: Sequence): boolean {
    const { constraint } = sequence;
    if (!constraint || constraint.state === 'working') return false;
    if (constraint.state === 'failed') {
      this.#fail(sequence, constraint.failure);
      return true;
    }
    const ids: number[] = [];
    let finish: FinishReason | null = null;
    for (const id of constraint.takeForced()) {
      if (finish !== null) break;
      sequence.append(id);
      ids.push(id);
      finish = sequence.finishReason(this.#maxLen);
    }
    if (ids.length === 0) return false;
    this.#counters.generationTokens += ids.length;
    this.#emit(sequence, ids, finish, null);
    if (finish !== null) this.#end(sequence, true);
    return true;
  }

  #fail(sequence: Sequence, why: string): void {
    this.#end(sequence, true);
    this.#errors.push(this.#errorOf(sequence, why));
    this.#emit(sequence, [], 'error', null);
  }

  #logprobsOf(sequence: Sequence, result: SequenceResult, id: number): LogprobEntry[] | null {
    const { params, history, constraint } = sequence;
    if (params.logprobs === null || result.type !== 'full') return null;
    return [this.#logprobs.ofChosen(this.#lastRow(result.logits), id, params, history, constraint?.mask ?? null)];
  }

  /** Called after the tokens were appended. */
  #emit(
    sequence: Sequence,
    ids: readonly number[],
    finish: FinishReason | null,
    logprobs: readonly LogprobEntry[] | null,
    extra: Pick<SequenceOutput, 'hidden' | 'promptLogprobs'> = {},
  ): void {
    this.#outputs.push({
      key: sequence.request.key,
      choice: sequence.choice,
      firstIndex: sequence.numOutputTokens - ids.length,
      ids,
      finish,
      logprobs,
      cachedTokens: sequence.hasEmitted ? null : sequence.numCachedPromptTokens,
      ...extra,
    });
    sequence.hasEmitted = true;
  }

  /** The sequence is over, wherever it was: its blocks and row go back, its request ends with its last choice. */
  #end(sequence: Sequence, keepBlocks: boolean): void {
    this.#scheduler.finish(sequence, keepBlocks);
    sequence.constraint?.close();
    this.#isHeldUp = false;
    if (sequence.startedAtMs !== null) this.#load.observeResidence(this.#clock.monotonic() - sequence.startedAtMs);
    this.#requests.remove(sequence);
  }

  /** All choices have the same prompt: the first of them tells. */
  #askForPromptLogprobs(sequence: Sequence): void {
    const { vocabSize } = this.#runner;
    const numTop = sequence.params.promptLogprobs!;
    const numValues = 1 + (numTop < 0 ? vocabSize : numTop);
    sequence.numPromptLogprobs = 0;
    sequence.maxPromptRows = Math.max(1, Math.floor(Math.min(MAX_LOGITS_READ / vocabSize, MAX_VALUES_TOLD / numValues)));
  }

  // ---- admission

  /** Continuations are never refused for load. */
  #refusal(request: EngineRequest): AddResult | null {
    const numPromptTokens = request.promptIds.length;
    const maxPromptLen = request.params.pooling ? this.#maxPooledLen : this.#maxLen - 1;
    if (numPromptTokens > maxPromptLen) {
      const limit = `${maxPromptLen} (maxModelLen ${this.#options.maxModelLen}, KV cache ${this.#kv.numBlocks} blocks of ${this.#kv.blockSize})`;
      return {
        type: 'nack',
        code: 'too_long',
        retryAfterMs: 0,
        message: `The prompt has ${numPromptTokens} tokens; at most ${limit} can be served.`,
      };
    }
    const isContinuation = request.choices.some((choice) => choice.outputIds.length > 0);
    if (isContinuation || this.#requests.numQueued < this.#options.maxNumWaiting + this.#kv.numFreeRows) return null;
    const retryAfterMs = this.#load.retryAfterMs({
      queuedPrefillTokens: this.#queuedPrefillTokens(),
      numRunning: this.#scheduler.running.length,
      hasFreeRow: this.#kv.numFreeRows > 0,
    });
    return {
      type: 'nack',
      code: 'queue_full',
      retryAfterMs,
      message: `${this.#requests.numQueued} requests are waiting, the queue is full.`,
    };
  }

  /** Choices share their prompt's blocks; a prompt of less than a full block has none. */
  #leaderFor(request: EngineRequest, earlier: readonly Sequence[]): Sequence | null {
    return this.#kv.sharesPrefixes && request.promptIds.length > this.#kv.blockSize ? (earlier[0] ?? null) : null;
  }

  #requestsAhead(numSequencesAhead: number): number {
    const ahead = new Set<EngineRequest>();
    for (let i = 0; i < numSequencesAhead; i++) ahead.add(this.#scheduler.waiting[i]!.request);
    return ahead.size;
  }

  #queuedPrefillTokens(): number {
    let numTokens = 0;
    for (const sequence of this.#scheduler.waiting) {
      const numShared = sequence.leader === null ? 0 : sequence.numPromptTokens - (sequence.numPromptTokens % this.#kv.blockSize);
      numTokens += sequence.numTokens - numShared;
    }
    return numTokens;
  }

  #errorOf(sequence: Sequence, what: string, cause?: unknown): SequenceError {
    return new SequenceError(what, { stepId: this.#stepId, key: sequence.request.key, choice: sequence.choice }, cause);
  }
}

/** What would bring the runner down if it were run. The frontend checks too; a bad request must not cost the others their engine. */
function findProblem(request: EngineRequest, vocabSize: number): string | null {
  if (request.promptIds.length === 0) return 'the prompt is empty';
  for (const ids of [request.promptIds, ...request.choices.map((choice) => choice.outputIds)]) {
    const wrong = ids.find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabSize));
    if (wrong !== undefined) return `token id ${wrong} is not in the vocabulary of ${vocabSize}`;
  }
  return null;
}
