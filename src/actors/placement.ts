/**
 * Finds an engine for a request and gives it to it: the waiting, the repeating and the reading of refusals. What follows from the result
 * is decided by the request's machine.
 */
import type { Clock } from '../core/clock.ts';
import { TroupeError } from '../core/errors.ts';
import type { Epoch } from '../core/ids.ts';
import { decodeReply, encode } from '../transport/codec.ts';
import type { Ack, Nack } from '../transport/messages.ts';
import { engineRequests } from '../transport/subjects.ts';
import { type Transport, TransportError } from '../transport/transport.ts';
import type { EngineVerdict } from './circuit-breaker.ts';
import type { Directory, EngineRef } from './directory.ts';
import type { EngineChooser } from './engine-chooser.ts';
import type { LiveRequest } from './live-request.ts';
import { sleep } from './repeat.ts';

export interface PlacementOptions {
  readonly frontendId: string;
  readonly epoch: Epoch;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly directory: Directory;
  readonly chooser: EngineChooser;
  /** How long a request waits while no engine serves, before 503. */
  readonly engineWaitMs: number;
  /** Requests that may wait for an engine at the same time; above it 429. */
  readonly maxNumWaiting: number;
  /** Whether this request has to wait although an engine may be there: the server is paused. */
  readonly isHeld?: (request: LiveRequest) => boolean;
}

/** Time for one answer; then the same attempt is sent again, which the engine recognises. */
const ANSWER_TIMEOUT_MS = 2000;
/** An engine that is alive by its beats but has not answered for this long is left alone for a while. */
const GIVE_UP_MS = 30_000;
/** Its beat may arrive before its subscriptions are known here. */
const NO_RESPONDERS_RETRY_MS = 50;
const NO_RESPONDERS_GIVE_UP_MS = 2000;
/** How long a request leaves an engine alone that would not have it. */
const EXCLUDED_MS = 1000;
const LOADING_RETRY_AFTER_MS = 2000;

export class Placement {
  readonly #options: PlacementOptions;
  #numWaiting = 0;

  constructor(options: PlacementOptions) {
    this.#options = options;
  }

  modelLoading(): TroupeError {
    return new TroupeError('model_loading', 'The model is still loading. Please try again in a moment.', {
      retryAfterMs: LOADING_RETRY_AFTER_MS,
    });
  }

  /** Waits for a serving engine that may have this request. @throws TroupeError model_loading, queue_full, no_engine, paused. */
  async findEngine(request: LiveRequest, signal: AbortSignal): Promise<EngineRef> {
    const { directory, clock } = this.#options;
    request.waitingSince ??= clock.monotonic();
    const isContinued = request.wasAccepted;
    let isCounted = false;
    try {
      for (;;) {
        const isHeld = this.#options.isHeld?.(request) ?? false;
        const engine = isHeld ? null : this.#options.chooser.choose(request);
        if (engine) return engine;
        if (!isContinued) {
          if (!directory.hasServed) throw this.modelLoading();
          if (request.refusal && !isHeld) throw request.refusal;
          if (!isCounted) {
            if (this.#numWaiting >= this.#options.maxNumWaiting) throw waitingRoomFull(this.#numWaiting);
            this.#numWaiting++;
            isCounted = true;
          }
        }
        if (isHeld && isContinued) request.waitingSince = clock.monotonic(); // the time of a pause counts against nobody
        const leftMs = this.#options.engineWaitMs - (clock.monotonic() - request.waitingSince);
        const isWorthWaiting = isContinued && directory.isLoading;
        if (leftMs <= 0 && !isWorthWaiting)
          throw isHeld ? paused(this.#options.engineWaitMs) : noEngine(this.#options.engineWaitMs, directory.lastLoss);
        await directory.changed(leftMs > 0 ? Math.min(leftMs, EXCLUDED_MS) : EXCLUDED_MS, signal);
        signal.throwIfAborted();
      }
    } finally {
      if (isCounted) this.#numWaiting--;
    }
  }

  /** Sends the request, or what is left of it, until the engine answers. @throws TroupeError when no engine would have it. */
  async offer(request: LiveRequest, engine: EngineRef, attempt: number, signal: AbortSignal): Promise<'accepted' | 'elsewhere'> {
    const entry = this.#options.directory.find(engine.key);
    if (!entry) return 'elsewhere'; // lost between the choice and now
    request.assign(entry, attempt);
    const answer = await this.#ask(request, engine, attempt, signal);
    if (signal.aborted) return 'elsewhere'; // nobody listens any more
    if (answer?.type === 'ack') {
      request.refusal = null;
      return 'accepted';
    }
    request.assignment = null;
    this.#exclude(request, engine, answer?.retryAfterMs ?? 0);
    if (!answer && !this.#options.directory.isSuspended) request.failedAt.add(engine.key);
    this.#options.chooser.record(engine, answer ? verdictOf(answer) : 'unanswered', request.slot);
    if (answer) this.#readRefusal(request, answer);
    return 'elsewhere';
  }

  /** Null: it did not answer in time; it may or may not have the request, so it is told to forget it. */
  async #ask(request: LiveRequest, engine: EngineRef, attempt: number, signal: AbortSignal): Promise<Ack | Nack | null> {
    const { transport, clock, frontendId, epoch } = this.#options;
    const subject = engineRequests(engine.id, engine.epoch);
    const message = encode(request.journal.toAddRequest(frontendId, epoch, attempt, request.isSuspect));
    const startedAt = clock.monotonic();
    let giveUpMs = GIVE_UP_MS;
    while (!signal.aborted && clock.monotonic() - startedAt < giveUpMs) {
      try {
        return decodeReply(await transport.request(subject, message, ANSWER_TIMEOUT_MS));
      } catch (error) {
        if (!(error instanceof TransportError)) throw error;
        if (error.code === 'too_large') throw new TroupeError('payload_too_large', `The request is too large to send: ${error.message}`);
        if (error.code === 'closed') throw new TroupeError('server_draining', 'The server is shutting down.', { cause: error });
        if (error.code === 'timeout') continue;
        giveUpMs = NO_RESPONDERS_GIVE_UP_MS;
        await sleep(clock, NO_RESPONDERS_RETRY_MS, signal);
      }
    }
    return null;
  }

  #exclude(request: LiveRequest, engine: EngineRef, retryAfterMs: number): void {
    const forMs = Math.max(EXCLUDED_MS, Math.min(retryAfterMs, 5 * EXCLUDED_MS));
    request.excludedUntil.set(engine.key, this.#options.clock.monotonic() + forMs);
  }

  /** A new request gets the engine's word when no other engine will have it; one that was accepted before is offered again until it runs. */
  #readRefusal(request: LiveRequest, nack: Nack): void {
    if (nack.code === 'too_long') throw new TroupeError('context_length_exceeded', nack.message);
    if (nack.code === 'invalid_grammar') {
      const { constraintParam } = request;
      throw new TroupeError('invalid_request', nack.message, constraintParam === null ? {} : { param: constraintParam });
    }
    // Of several full engines, the client is told of the one that has room first.
    const isSooner = nack.retryAfterMs <= (request.refusal?.retryAfterMs ?? Number.POSITIVE_INFINITY);
    if (nack.code === 'queue_full' && !request.wasAccepted && isSooner)
      request.refusal = new TroupeError('queue_full', nack.message, { retryAfterMs: nack.retryAfterMs });
  }
}

const verdictOf = ({ code }: Nack): EngineVerdict => (code === 'too_long' || code === 'invalid_grammar' ? 'invalid' : 'refused');

const waitingRoomFull = (numWaiting: number): TroupeError =>
  new TroupeError('queue_full', `No engine serves at the moment and ${numWaiting} requests already wait for one.`, { retryAfterMs: 1000 });

const paused = (waitedMs: number): TroupeError =>
  new TroupeError('paused', `The server is paused, and was not resumed within ${Math.round(waitedMs / 1000)} s. Please try again later.`);

const noEngine = (waitedMs: number, lastLoss: string | null): TroupeError =>
  new TroupeError(
    'no_engine',
    `No engine became available within ${Math.round(waitedMs / 1000)} s${lastLoss === null ? '' : ` (${lastLoss})`}. Please try again later.`,
    { retryAfterMs: 5000 },
  );
