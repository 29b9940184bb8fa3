/**
 * Token ids in, token ids out, one step at a time: the part of the server that could be read and benchmarked alone. Synchronous; its
 * owner calls `step` while it `hasWork`, and adds and aborts between steps.
 */
import type { BlockHash } from '../core/block-hash.ts';
import type { Clock } from '../core/clock.ts';
import { assert } from '../core/errors.ts';
import type { FinishReason } from '../core/generation.ts';
import type { Epoch } from '../core/ids.ts';
import { Admission, problemOf } from './admission.ts';
import { type Constraints, waitForMasks } from './constraint.ts';
import { KvCache } from './kv/kv-cache.ts';
import type { KvChanges } from './kv/kv-events.ts';
import { LiveRequests } from './live-requests.ts';
import { LogprobReader } from './logprobs.ts';
import { pooledState } from './pooling.ts';
import { PromptLogprobReader } from './prompt-logprobs.ts';
import type { AddResult, EngineChoice, EngineRequest, EngineStats, LogprobEntry } from './request.ts';
import type { ModelRunner } from './runner/model-runner.ts';
import { LogitsError } from './sampler.ts';
import { Scheduler } from './scheduler.ts';
import { Sequence, type SequenceFlow } from './sequence.ts';
import { EngineCounters, LoadMeter } from './stats.ts';
import type { KvOp, SequenceResult } from './step.ts';
import { packSequences } from './step-input.ts';
import { ReportDraft, type StepReport } from './step-report.ts';
import { TokenChooser } from './token-choice.ts';

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

/** After a late mask, a sequence runs for so many tokens only with its mask in hand: nobody waits for it again at once. */
const LATE_TOKENS = 16;

export class Engine {
  readonly #runner: ModelRunner;
  readonly #options: EngineOptions;
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #kv: KvCache;
  readonly #scheduler: Scheduler;
  readonly #admission: Admission;
  readonly #chooser: TokenChooser;
  readonly #promptLogprobs: PromptLogprobReader;
  readonly #requests = new LiveRequests();
  readonly #counters = new EngineCounters();
  readonly #load = new LoadMeter();
  readonly #report = new ReportDraft();
  /** Known tokens at which a sequence ends: the model's limit, or one more than the whole KV cache can hold. */
  readonly #maxLen: number;
  #stepId = 0;
  /** Nothing could be scheduled: what runs waits for masks. Over when one has come, or with an add or an abort. */
  #isHeldUp = false;
  #isFrozen = false;
  #arrivals = 0;

  constructor(options: EngineOptions) {
    const { runner, numBlocks, blockSize } = options;
    this.#options = options;
    this.#runner = runner;
    this.#clock = options.clock;
    this.#maxLen = Math.min(options.maxModelLen, numBlocks * blockSize + 1);
    this.#kv = new KvCache({
      numRows: options.maxNumSeqs,
      numBlocks,
      numPoolBlocks: options.enablePrefixCaching && runner.canCopyBlocks ? (options.numPoolBlocks ?? numBlocks) : 0,
      blockSize,
      canMoveRows: runner.canCopyBlocks,
      fingerprint: options.fingerprint,
    });
    this.#scheduler = new Scheduler({ ...options, kv: this.#kv });
    this.#admission = new Admission({
      ...options,
      kv: this.#kv,
      scheduler: this.#scheduler,
      requests: this.#requests,
      load: this.#load,
    });
    const logprobs = new LogprobReader(runner.vocabSize);
    this.#chooser = new TokenChooser(runner.vocabSize, logprobs);
    this.#promptLogprobs = new PromptLogprobReader(runner.vocabSize, logprobs);
  }

  /** Whether `step` has something to do: sequences, outputs that nobody has seen, or rows to give back. */
  get hasWork(): boolean {
    if (this.#kv.hasPendingOps || this.#report.hasOutput) return true;
    if (this.#isFrozen) return false;
    const { running, waiting } = this.#scheduler;
    const nobodyMayStart = running.length > 0 || waiting.every(({ flow }) => flow !== 'running');
    if (this.#isHeldUp && nobodyMayStart && running.every((sequence) => sequence.isHeldUp)) return false;
    return running.length > 0 || waiting.length > 0;
  }

  /** One step: schedule, run, sample, and what came of it since the last report. @throws RunnerError: the engine cannot go on. */
  step(): StepReport {
    const startedAtMs = this.#clock.monotonic();
    const scheduled = this.#schedule();
    const kvOps = this.#kv.takeOps();
    if (scheduled.length > 0 || kvOps.length > 0) {
      const numPrefillTokens = this.#begin(scheduled, startedAtMs);
      const results = this.#run(scheduled, kvOps);
      for (let i = 0; i < scheduled.length; i++) this.#advance(scheduled[i]!, results[i]!);
      const durationMs = this.#clock.monotonic() - startedAtMs;
      if (numPrefillTokens > 0) this.#load.observePrefill(numPrefillTokens, durationMs);
      else this.#load.observeDecode(durationMs);
    }
    const report = this.#report.take(this.#stepId);
    if (!this.hasWork) this.assertIntegrity();
    return report;
  }

  /** Queues a request. Choices that are finished, or turn out to be, are not run. */
  addRequest(request: EngineRequest): AddResult {
    assert(!this.#requests.has(request.key), `request ${request.key} is added twice`);
    this.#isHeldUp = false;
    const refusal = this.#admission.refusal(request);
    if (refusal) {
      this.#options.constraints?.discard(request);
      return refusal;
    }
    const problem = problemOf(request, this.#runner.vocabSize);
    const sequences: Sequence[] = [];
    const arrival = this.#arrivals++;
    let position = 0;
    for (const choice of request.choices) {
      if (choice.finished) continue;
      const sequence = this.#newSequence(request, choice, arrival, sequences[0] ?? null);
      if (this.#endUnrun(sequence, problem)) continue;
      const numAhead = this.#scheduler.add(sequence);
      if (sequences.push(sequence) === 1) position = this.#admission.requestsAhead(numAhead);
    }
    this.#requests.add(request, sequences);
    return { type: 'ack', position };
  }

  /** Ends a choice, or all, with finish 'abort' in the next report. Unknown keys are ignored: the request may just have ended. */
  abort(key: string, choice?: number): void {
    this.#isHeldUp = false;
    for (const sequence of this.#requests.sequencesOf(key)) {
      if (choice !== undefined && sequence.choice !== choice) continue;
      this.#end(sequence);
      this.#report.add(sequence, [], 'abort');
    }
  }

  /** Its reader keeps up, or does not. Unknown keys are ignored: the request may just have ended. */
  setFlow(key: string, flow: SequenceFlow): void {
    this.#isHeldUp = false;
    for (const sequence of this.#requests.sequencesOf(key)) {
      sequence.flow = flow;
      if (flow === 'parked') this.#scheduler.park(sequence);
    }
  }

  /** Frozen, sequences stand still between two tokens: adds wait, aborts take effect. */
  setFrozen(isFrozen: boolean): void {
    this.#isFrozen = isFrozen;
    this.#isHeldUp = false;
  }

  stats(): EngineStats {
    const { queuedPrefillTokens } = this.#admission;
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
      numSteps: this.#stepId,
      queuedPrefillTokens,
      prefillTokensPerSecond: this.#load.prefillTokensPerMs * 1000,
      stepMs: this.#load.expectedStepMs(Math.min(this.#options.maxNumBatchedTokens, queuedPrefillTokens + this.#runningPrefillTokens)),
    };
  }

  /** Tokens of a block of the KV cache. */
  get blockSize(): number {
    return this.#kv.blockSize;
  }

  /** Changes of the prefix cache since the last call; null when there are none. */
  takeKvEvents(): KvChanges | null {
    return this.#kv.takeEvents();
  }

  /** Names of the blocks that a new request would find. */
  cachedHashes(): Iterable<BlockHash> {
    return this.#kv.cachedHashes();
  }

  /** Counts everything again, as the engine itself does whenever it becomes idle. @throws Error with the numbers that disagree. */
  assertIntegrity(): void {
    const { running, waiting } = this.#scheduler;
    this.#kv.assertIntegrity(running);
    this.#requests.assertIntegrity(running.length + waiting.length);
  }

  get #runningPrefillTokens(): number {
    let numTokens = 0;
    for (const { numUncomputed } of this.#scheduler.running) if (numUncomputed > 1) numTokens += numUncomputed;
    return numTokens;
  }

  // ---- one step

  #schedule(): readonly Sequence[] {
    if (!this.#isFrozen) this.#settleConstraints();
    const scheduled = this.#isFrozen ? [] : this.#scheduler.schedule();
    this.#isHeldUp = scheduled.length === 0;
    return scheduled;
  }

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

  #run(scheduled: readonly Sequence[], kvOps: readonly KvOp[]): readonly SequenceResult[] {
    const { groupEpoch, constraints } = this.#options;
    const step = { groupEpoch, stepId: ++this.#stepId, kvOps, ...packSequences(scheduled) };
    const { results } = this.#runner.collect(this.#runner.submit(step));
    if (constraints) waitForMasks(constraints, this.#clock, scheduled, results);
    return results;
  }

  /** The step computed the sequence's scheduled tokens; if those were the last known ones, there is a new one. */
  #advance(sequence: Sequence, result: SequenceResult): void {
    try {
      if (sequence.promptRowsOf(sequence.numScheduled) > 0)
        this.#report.add(sequence, [], null, { promptLogprobs: this.#promptLogprobs.read(sequence, result) });
      if (!this.#countComputed(sequence) || this.#endIfComplete(sequence) || this.#takeForced(sequence)) return;
      if (sequence.params.pooling) this.#pool(sequence, result);
      else this.#chooseToken(sequence, result);
    } catch (error) {
      if (!(error instanceof LogitsError)) throw error;
      // Keys and values that led to such logits are not shared any further.
      this.#end(sequence, false);
      this.#report.addError(sequence, this.#stepId, error.message, error);
    }
  }

  /** @returns whether all known tokens are computed and a new one can be chosen. */
  #countComputed(sequence: Sequence): boolean {
    const isCaughtUp = sequence.willCatchUp;
    const isLate = isCaughtUp && sequence.constraint?.state === 'working';
    // Without a mask no token can be chosen, and these logits are gone with the next step: its last token is computed once more.
    sequence.numComputed += sequence.numScheduled - (isLate ? 1 : 0);
    sequence.numScheduled = 0;
    this.#kv.commit(sequence);
    if (isLate) sequence.numLateTokens = LATE_TOKENS;
    return isCaughtUp && !isLate;
  }

  /** A request that is to generate nothing runs for its prompt's log-probabilities only. */
  #endIfComplete(sequence: Sequence): boolean {
    const finish = sequence.params.maxTokens === 0 ? sequence.finishReason(this.#maxLen) : null;
    if (finish === null) return false;
    this.#report.add(sequence, [], finish);
    this.#end(sequence);
    return true;
  }

  /** A pooling request ends with its prompt. */
  #pool(sequence: Sequence, result: SequenceResult): void {
    this.#report.add(sequence, [], 'stop', { hidden: pooledState(result) });
    this.#end(sequence);
  }

  #chooseToken(sequence: Sequence, result: SequenceResult): void {
    const { id, logprobs } = this.#chooser.choose(sequence, result);
    sequence.append(id);
    sequence.constraint?.accept(id);
    if (sequence.numLateTokens > 0) sequence.numLateTokens--;
    this.#tellTokens(sequence, [id], sequence.finishReason(this.#maxLen), logprobs);
  }

  /** Called after the tokens were appended. */
  #tellTokens(sequence: Sequence, ids: readonly number[], finish: FinishReason | null, logprobs: readonly LogprobEntry[] | null): void {
    this.#counters.generationTokens += ids.length;
    this.#report.add(sequence, ids, finish, { logprobs });
    if (finish !== null) this.#end(sequence);
  }

  // ---- grammars

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
      this.#end(sequence);
      this.#report.addError(sequence, this.#stepId, constraint.failure);
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
    this.#tellTokens(sequence, ids, finish, null);
    return true;
  }

  // ---- the life of a sequence

  /** @param first the request's first choice that runs; all choices share its prompt's blocks. Less than a full block cannot be shared. */
  #newSequence(request: EngineRequest, choice: EngineChoice, arrival: number, first: Sequence | null): Sequence {
    const sharesPrompt = this.#kv.sharesPrefixes && request.promptIds.length > this.#kv.blockSize;
    const constraint = request.params.constraint === null ? null : this.#constraints.open(request, choice);
    const sequence = new Sequence(request, choice.index, choice.outputIds, arrival, sharesPrompt ? first : null, constraint);
    if (request.params.promptLogprobs !== null && first === null) this.#promptLogprobs.askOf(sequence);
    return sequence;
  }

  get #constraints(): Constraints {
    assert(this.#options.constraints, 'a constrained request reached an engine without grammars');
    return this.#options.constraints;
  }

  /** @param problem why its request cannot be run. @returns whether the sequence is over before it was queued. */
  #endUnrun(sequence: Sequence, problem: string | null): boolean {
    const finish = problem !== null || sequence.needsPromptLogprobs ? null : sequence.finishReason(this.#maxLen);
    if (problem === null && finish === null) return false;
    sequence.state = 'finished';
    sequence.constraint?.close();
    if (problem === null) this.#report.add(sequence, [], finish);
    else this.#report.addError(sequence, this.#stepId, problem);
    return true;
  }

  /** The sequence is over, wherever it was: its blocks and row go back, its request ends with its last choice. */
  #end(sequence: Sequence, keepBlocks = true): void {
    this.#scheduler.finish(sequence, keepBlocks);
    sequence.constraint?.close();
    this.#isHeldUp = false;
    if (sequence.startedAtMs !== null) this.#load.observeResidence(this.#clock.monotonic() - sequence.startedAtMs);
    this.#requests.remove(sequence);
  }
}
