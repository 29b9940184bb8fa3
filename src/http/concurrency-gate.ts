/**
 * At most so many generations at the same time (`--max-concurrency`). A place is held until the reply has ended, streams included, or
 * its client has left. Who finds none waits its turn for a while (`--max-waiting-time`), then is told to come back.
 */
import type { Clock } from '../core/clock.ts';
import { TroupeError } from '../core/errors.ts';
import { OpenGenerations } from '../core/open-generations.ts';
import type { HttpReply } from './http-message.ts';

export interface ConcurrencyLimit {
  /** Over all frontend processes together. */
  readonly maxConcurrency: number;
  /** How long a request may wait for a place; 0 = not at all. */
  readonly maxWaitingMs: number;
}

/** Gives a place back; further calls do nothing. */
export type Release = () => void;

export class ConcurrencyGate {
  readonly #limit: ConcurrencyLimit;
  readonly #clock: Clock;
  readonly #open: OpenGenerations;
  /** In the order of their arrival; called when a place is theirs. */
  readonly #waiting = new Set<() => void>();

  constructor(limit: ConcurrencyLimit, clock: Clock, open = new OpenGenerations()) {
    this.#limit = limit;
    this.#clock = clock;
    this.#open = open;
    open.onFewerElsewhere(() => this.#admitWaiting());
  }

  /** @throws TroupeError queue_full; the signal's reason when the client leaves while it waits. */
  async enter(signal: AbortSignal): Promise<Release> {
    if (this.#hasPlace) this.#open.numHere++;
    else await this.#turn(signal);
    let isHeld = true;
    return () => {
      if (isHeld) this.#leave();
      isHeld = false;
    };
  }

  get #hasPlace(): boolean {
    return this.#open.total < this.#limit.maxConcurrency;
  }

  #turn(signal: AbortSignal): Promise<void> {
    const { maxConcurrency, maxWaitingMs } = this.#limit;
    const refusal = () => new TroupeError('queue_full', `Too many requests,current max concurrency is ${maxConcurrency}`);
    if (signal.aborted) return Promise.reject(signal.reason);
    if (maxWaitingMs === 0) return Promise.reject(refusal());
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void) => () => {
        this.#waiting.delete(admit);
        signal.removeEventListener('abort', abandon);
        this.#clock.clearTimeout(timer);
        finish();
      };
      const admit = settle(() => {
        this.#open.numHere++;
        resolve();
      });
      const abandon = settle(() => reject(signal.reason));
      const timer = this.#clock.setTimeout(
        settle(() => reject(refusal())),
        maxWaitingMs,
      );
      signal.addEventListener('abort', abandon, { once: true });
      this.#waiting.add(admit);
    });
  }

  #leave(): void {
    this.#open.numHere--;
    this.#admitWaiting();
  }

  #admitWaiting(): void {
    for (const admit of this.#waiting) {
      if (!this.#hasPlace) return;
      admit();
    }
  }
}

/** The reply, with `release` called when it is complete, has failed, or is abandoned. */
export function holdUntilEnd(reply: HttpReply, release: Release): HttpReply {
  const { body } = reply;
  if (typeof body === 'string') {
    release();
    return reply;
  }
  return { ...reply, body: { [Symbol.asyncIterator]: () => held(body[Symbol.asyncIterator](), release) } };
}

/** Not a generator: one that nobody has begun to read would not hear that it is abandoned. */
function held(iterator: AsyncIterator<string>, release: Release): AsyncIterator<string> {
  return {
    next: async () => {
      try {
        const result = await iterator.next();
        if (result.done) release();
        return result;
      } catch (error) {
        release();
        throw error;
      }
    },
    return: async () => {
      release();
      await iterator.return?.();
      return { done: true, value: undefined };
    },
  };
}
