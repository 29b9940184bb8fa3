/**
 * Requests that have seen two engines die. One of them may have been the cause, so they come to the rank one at a time: the next when the
 * one before has made a token. Who is on trial is told to all frontends before the rank hears of it; when this engine dies as well, its
 * death counts against that one alone (actors/request.ts gives a request up after its third).
 */
import type { TrialMark } from '../transport/messages.ts';

interface Waiting {
  readonly key: string;
  readonly mark: TrialMark;
  readonly post: () => void;
}

export class Trials {
  readonly #announce: () => void;
  readonly #waiting: Waiting[] = [];
  #current: Waiting | null = null;

  /** @param announce tells everybody of `current`. */
  constructor(announce: () => void) {
    this.#announce = announce;
  }

  get current(): TrialMark | null {
    return this.#current?.mark ?? null;
  }

  /** Gives a request to the rank: at once, or when it is its turn. `mark` null = it is above suspicion. */
  post(key: string, mark: TrialMark | null, post: () => void): void {
    if (mark) this.#waiting.push({ key, mark, post });
    else post();
    this.#next();
  }

  /** It has made a token, or stands still, or is over. Of one that still waits nothing is changed. */
  passed(key: string): void {
    if (this.#current?.key !== key) return;
    this.#current = null;
    this.#next();
  }

  #next(): void {
    if (this.#current) return;
    this.#current = this.#waiting.shift() ?? null;
    if (!this.#current) return;
    this.#announce();
    this.#current.post();
  }
}
