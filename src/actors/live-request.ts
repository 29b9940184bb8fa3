/**
 * One request while it lives in a frontend: its journal, its choices' text, the queue its client reads, and its machine (request.ts).
 * This is the data lane: `take` runs once per frame entry and touches the machine only at the first token and at the end.
 */
import { type ActorRefFrom, createActor } from 'xstate';
import { AsyncQueue } from '../core/async-queue.ts';
import type { Clock } from '../core/clock.ts';
import { TroupeError } from '../core/errors.ts';
import type { FinishReason, GenerateRequest, Generation, TextDelta, Usage } from '../core/generation.ts';
import { ChoiceText } from '../text/choice-text.ts';
import type { FrameEntry, WirePromptLogprobs } from '../transport/messages.ts';
import { ChoiceOutput, mergeDeltas } from './choice-output.ts';
import type { EngineEntry, EngineRef } from './directory.ts';
import { RepetitionStop } from './early-stop.ts';
import type { RequestObservation } from './frontend-metrics.ts';
import { type ChoiceJournal, Journal } from './journal.ts';
import type { ModelText, PreparedRequest } from './prepare-request.ts';
import { PromptOutput } from './prompt-output.ts';
import { type Outcome, type RequestEvent, requestMachine } from './request.ts';
import type { NamedRequest } from './request-names.ts';
import { RequestTimeline } from './request-timeline.ts';
import { toolCallIds } from './tool-call-ids.ts';

/** Deltas that wait unread before new ones are merged into them: a slow reader costs text, not objects. */
const MAX_WAITING_DELTAS = 64;
/** Tokens that wait unread before the engine is told to stand still. */
const MAX_UNREAD_TOKENS = 512;
/** Timers count no further: 24 days. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** What a live request has its frontend do. */
export interface LiveRequestPorts {
  findEngine(request: LiveRequest, signal: AbortSignal): Promise<EngineRef>;
  offer(request: LiveRequest, engine: EngineRef, attempt: number, signal: AbortSignal): Promise<'accepted' | 'elsewhere'>;
  /** The engine is to stop working on a choice, or on all of them (null). */
  abortAtEngine(request: LiveRequest, choice: number | null): void;
  /** Its reader does not keep up, or does again: the engine is to know. */
  holdAtEngine(request: LiveRequest, isHeld: boolean): void;
  /** The first token from the engine that has it. */
  onFirstToken(request: LiveRequest): void;
  /** Exactly once, in every case. */
  onEnd(request: LiveRequest, outcome: Outcome): void;
}

/** Whom a request is given to. */
export interface Assignment {
  readonly engine: EngineEntry;
  readonly attempt: number;
}

export interface LiveRequestOptions {
  readonly request: GenerateRequest;
  readonly prepared: PreparedRequest;
  readonly slot: number;
  readonly seed: bigint;
  readonly model: ModelText;
  readonly clock: Clock;
  readonly arrivedAt: number;
  /** 512 */
  readonly maxUnreadTokens?: number | undefined;
  readonly ports: LiveRequestPorts;
}

export class LiveRequest {
  readonly journal: Journal;
  /** Only its frames are taken; null while no engine has the request. */
  assignment: Assignment | null = null;
  /** The engine whose tokens the journal holds: only an equal one continues it. Null while there are none. */
  fingerprint: string | null = null;
  /** Since when it waits for an engine; null while it has one. */
  waitingSince: number | null = null;
  /** Engines not to offer it to before a time (Clock.monotonic), by key. */
  readonly excludedUntil = new Map<string, number>();
  /** Engines that did not answer it, by key. */
  readonly failedAt = new Set<string>();
  /** Why the last engine would not have it; told to the client when no other will. */
  refusal: TroupeError | null = null;
  wasAccepted = false;
  /** Its reader does not keep up. */
  isHeld = false;
  /** What a pooling request ended with. */
  hidden: Float32Array | null = null;

  readonly #options: LiveRequestOptions;
  readonly #actor: ActorRefFrom<typeof requestMachine>;
  readonly #queue: AsyncQueue<TextDelta>;
  readonly #outputs: readonly ChoiceOutput[];
  /** Null unless the prompt's log-probabilities were asked for. */
  readonly #promptOutput: PromptOutput | null;
  readonly #accepted: Promise<void>;
  #settleAccepted!: { resolve: () => void; reject: (error: unknown) => void };
  readonly #handlers: (() => void)[] = [];
  readonly #timeline: RequestTimeline;
  #outcome: Outcome | null = null;
  #isCancelled = false;
  /** Engines that died while they worked on this. */
  #numDeaths = 0;
  /** There were two of them, and no token has come since. */
  isSuspect = false;
  #isFirstOfAttempt = true;
  #cachedTokens: number | null = null;
  #numUnread = 0;
  #numAttempts = 0;
  #deadline: unknown = null;

  constructor(options: LiveRequestOptions) {
    const { request, prepared, model, ports } = options;
    this.#options = options;
    this.#timeline = new RequestTimeline(options.arrivedAt);
    this.journal = new Journal({
      requestId: request.requestId,
      slot: options.slot,
      promptIds: Uint32Array.from(prepared.promptIds),
      params: model.earlyStop && prepared.params.logprobs === null ? { ...prepared.params, logprobs: 0 } : prepared.params,
      seed: options.seed,
      cacheSalt: request.cacheSalt ?? '',
      priority: request.priority,
      numChoices: request.n,
    });
    this.#outputs = this.journal.choices.map((choice) => newOutput(options, choice.index));
    this.#promptOutput = prepared.params.promptLogprobs === null ? null : new PromptOutput(prepared.promptIds, options.model.tokenizer);
    this.#queue = new AsyncQueue<TextDelta>({
      maxWaiting: MAX_WAITING_DELTAS,
      merge: mergeDeltas,
      onTaken: () => this.#taken(),
      onAbandoned: () => this.abort(),
    });
    this.#accepted = new Promise((resolve, reject) => {
      this.#settleAccepted = { resolve, reject };
    });
    this.#accepted.catch(() => {}); // generate() awaits it; an abort may come first
    this.#actor = createActor(requestMachine, {
      clock: options.clock,
      input: {
        ports: {
          findEngine: (signal) => ports.findEngine(this, signal),
          offer: (engine, attempt, signal) => ports.offer(this, engine, attempt, signal),
          onAccepted: () => this.#onAccepted(),
          hasOutput: () => this.journal.hasOutput,
          onEnd: (outcome) => this.#onEnd(outcome),
        },
      },
    });
    this.#actor.subscribe({
      error: (error) =>
        this.#onEnd({
          type: 'failed',
          error: new TroupeError('internal_error', 'The request failed inside the server.', { cause: error }),
        }),
    });
  }

  get slot(): number {
    return this.#options.slot;
  }

  /** What operators call it. */
  get name(): NamedRequest {
    return this.#options.request;
  }

  /** The request field that its constraint came from; null without one. */
  get constraintParam(): string | null {
    const { constraint, tools } = this.#options.request;
    return constraint?.param ?? (tools ? 'tools' : null);
  }

  /** An engine has it, or had it and it continues elsewhere. */
  get isInFlight(): boolean {
    return this.wasAccepted || this.assignment !== null;
  }

  /** Starts its life; resolves when an engine accepted it. @throws TroupeError when it failed before. */
  start(): Promise<void> {
    this.#setDeadline();
    this.#actor.start();
    return this.#accepted;
  }

  get generation(): Generation {
    const { prepared } = this.#options;
    return {
      promptTokenIds: prepared.promptIds,
      promptText: prepared.promptText,
      promptTokens: () => prepared.promptIds.map((id) => this.#options.model.tokenizer.tokenText(id)),
      promptLogprobs: () => this.#promptOutput?.entries() ?? null,
      deltas: this.#queue,
      usage: () => this.usage(),
    };
  }

  /** Called once, after it ended in whatever way. */
  onEnded(handler: () => void): void {
    this.#handlers.push(handler);
  }

  isFinished(choice: number): boolean {
    return this.journal.choices[choice]?.finish !== null;
  }

  assign(engine: EngineEntry, attempt: number): void {
    this.assignment = { engine, attempt };
    this.#isFirstOfAttempt = true;
    this.#numAttempts++;
  }

  /** Its engine no longer works on it. */
  lose(isDeath: boolean, reason: string): void {
    if (isDeath) this.#numDeaths++;
    this.isSuspect = this.#numDeaths >= 2;
    this.assignment = null;
    this.#send({ type: 'engine.lost', isDeath, reason });
  }

  /** Its engine is to be rid of it: it goes on elsewhere. */
  migrate(reason: string): void {
    this.#options.ports.abortAtEngine(this, null);
    this.lose(false, reason);
  }

  abort(): void {
    this.#send({ type: 'abort' });
  }

  /** An operator ends it: its client gets what there is, with finish reason `abort`. */
  cancel(): void {
    if (this.#outcome) return;
    this.#isCancelled = true;
    this.abort();
  }

  fail(error: TroupeError): void {
    this.#send({ type: 'fail', error });
  }

  /** Takes what a step gave one choice. The caller has checked that it comes from the engine and attempt in `assignment`. */
  take(entry: FrameEntry): void {
    const [, , index, firstIndex, ids, finish, logprobs, cachedTokens, hidden, promptLogprobs] = entry;
    const choice = this.journal.choices[index];
    if (!choice || choice.finish !== null || this.#outcome) return;
    if (promptLogprobs) this.#takePromptLogprobs(promptLogprobs);
    const numKnown = this.journal.numKnown(choice, firstIndex, ids.length);
    if (finish === 'error') {
      this.fail(new TroupeError('internal_error', 'The engine could not compute this request; the server log has the details.'));
    } else if (finish === 'abort') {
      this.lose(false, 'the engine gave the request up');
    } else if (numKnown === null) {
      this.migrate('tokens are missing between two frames');
    } else {
      if (choice.outputIds.length === 0) this.#cachedTokens ??= cachedTokens;
      if (hidden) this.hidden = hidden;
      const isNew = numKnown < ids.length || finish !== null;
      if (isNew) this.#append(choice, numKnown === 0 ? ids : ids.slice(numKnown), logprobs?.slice(numKnown) ?? null, finish);
    }
  }

  usage(): Usage {
    return {
      promptTokens: this.#options.prepared.promptIds.length,
      completionTokens: this.journal.numOutputTokens,
      cachedTokens: this.#cachedTokens ?? 0,
      reasoningTokens: this.#outputs.reduce((sum, output) => sum + Math.min(output.numReasoningTokens, this.#maxReasoningTokens), 0),
    };
  }

  /** The line break that closes the reasoning by force is not the model's. */
  get #maxReasoningTokens(): number {
    return this.#options.prepared.params.thinking?.maxTokens ?? Number.POSITIVE_INFINITY;
  }

  observation(outcome: Outcome): RequestObservation {
    const finish = this.journal.choices[0]?.finish ?? 'abort';
    return {
      requestId: this.journal.header.requestId,
      ...this.usage(),
      ...this.#timeline.measure(this.journal.numOutputTokens, this.#options.clock.monotonic()),
      finishReason: outcome.type === 'failed' ? 'error' : outcome.type === 'aborted' ? 'abort' : finish,
      numAttempts: this.#numAttempts,
      maxTokens: this.#options.prepared.params.maxTokens,
      numChoices: this.journal.choices.length,
    };
  }

  #append(choice: ChoiceJournal, ids: readonly number[], logprobs: FrameEntry[6], finish: FinishReason | null): void {
    if (ids.length > 0) this.#timeline.noteTokens(this.#options.clock.monotonic());
    const result = this.#outputs[choice.index]!.push(ids, logprobs, finish);
    for (let i = 0; i < result.numTokens; i++) choice.outputIds.push(ids[i]!);
    if (this.#isFirstOfAttempt) {
      this.#isFirstOfAttempt = false;
      this.isSuspect = false;
      this.fingerprint ??= this.assignment?.engine.fingerprint ?? null;
      this.#options.ports.onFirstToken(this);
      this.#send({ type: 'first.token' });
    }
    if (result.finish !== null) this.journal.finish(choice, result.finish);
    if (result.delta) this.#queue.push(result.delta);
    this.#noteUnread(result.numTokens);
    // A stop string: the engine does not know yet that this choice is over.
    if (result.finish !== null && finish === null) this.#options.ports.abortAtEngine(this, choice.index);
    if (result.finish !== null && this.journal.isFinished) this.#send({ type: 'done' });
  }

  /** Called after a push: with nothing waiting, the reader has it all. */
  #noteUnread(numTokens: number): void {
    this.#numUnread = this.#queue.numWaiting === 0 ? 0 : this.#numUnread + numTokens;
    if (this.#numUnread >= (this.#options.maxUnreadTokens ?? MAX_UNREAD_TOKENS)) this.#setHeld(true);
  }

  #taken(): void {
    this.#numUnread = 0;
    this.#setHeld(false);
  }

  #setHeld(isHeld: boolean): void {
    if (this.isHeld === isHeld || this.#outcome) return;
    this.isHeld = isHeld;
    this.#options.ports.holdAtEngine(this, isHeld);
  }

  #takePromptLogprobs(part: WirePromptLogprobs): void {
    this.#promptOutput?.take(part);
    if (this.#promptOutput?.isComplete) this.journal.hasPromptLogprobs = true;
  }

  /** Counted from the request's arrival, wherever it is by then. */
  #setDeadline(): void {
    const { request, clock, arrivedAt } = this.#options;
    const { timeoutMs } = request;
    if (timeoutMs === undefined || timeoutMs > MAX_TIMER_MS) return;
    const passed = () => this.fail(new TroupeError('timeout', `The request did not finish within its ${timeoutMs / 1000} s.`));
    this.#deadline = clock.setTimeout(passed, Math.max(0, timeoutMs - (clock.monotonic() - arrivedAt)));
  }

  #onAccepted(): void {
    this.wasAccepted = true;
    this.waitingSince = null;
    if (this.isHeld) this.#options.ports.holdAtEngine(this, true);
    this.#timeline.noteAccepted(this.#options.clock.monotonic());
    this.#settleAccepted.resolve();
  }

  #onEnd(outcome: Outcome): void {
    if (this.#outcome) return;
    this.#outcome = outcome;
    if (this.#deadline !== null) this.#options.clock.clearTimeout(this.#deadline);
    if (outcome.type !== 'finished') this.#options.ports.abortAtEngine(this, null);
    if (outcome.type === 'aborted') {
      for (const choice of this.journal.choices) if (choice.finish === null) this.#endUnfinished(choice, 'abort');
      if (this.#isCancelled) this.#settleAccepted.resolve();
      else this.#settleAccepted.reject(new DOMException('The request was cancelled by its client.', 'AbortError'));
    }
    if (outcome.type === 'cut')
      for (const choice of this.journal.choices) if (choice.finish === null) this.#endUnfinished(choice, 'recover_stop');
    if (outcome.type === 'failed') {
      this.#settleAccepted.reject(outcome.error);
      this.#queue.fail(outcome.error);
    }
    this.#queue.end();
    this.assignment = null;
    this.#options.ports.onEnd(this, outcome);
    for (const handler of this.#handlers) handler();
  }

  #endUnfinished(choice: ChoiceJournal, reason: FinishReason): void {
    this.journal.finish(choice, reason);
    this.#queue.push(this.#outputs[choice.index]!.end(reason));
  }

  #send(event: RequestEvent): void {
    if (!this.#outcome) this.#actor.send(event);
  }
}

function newOutput({ request, prepared, model, seed }: LiveRequestOptions, index: number): ChoiceOutput {
  const { params, reasoning, tools } = prepared;
  return new ChoiceOutput({
    index,
    text: new ChoiceText({
      tokenizer: model.tokenizer,
      skipSpecialTokens: request.skipSpecialTokens,
      stop: request.stop,
      includeStopStrInOutput: request.includeStopStrInOutput,
      reasoning: reasoning ? reasoning.newParser(reasoning.renderedPrompt) : null,
      tools: tools?.newParser() ?? null,
      shownTokenIds: prepared.shownTokenIds,
      stopTokenIds: new Set(params.stopTokenIds),
      minTokens: params.minTokens,
    }),
    tokens: model.tokenizer,
    wantTokenIds: request.wantTokenIds,
    wantLogprobs: params.logprobs !== null,
    earlyStop: model.earlyStop && new RepetitionStop(model.earlyStop),
    calls: tools ? { newId: toolCallIds(request, seed, index), endAsCalls: typeof request.tools?.choice === 'string' } : undefined,
  });
}
