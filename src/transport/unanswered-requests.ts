/**
 * Requests that were handed to a handler of this process and are not answered yet: a process that leaves waits for them. Some are never
 * answered; those older than the longest wait are forgotten, so that they cost neither memory nor time.
 */
import type { Clock } from '../core/clock.ts';

export interface Unanswered {
  readonly receivedAt: number;
  isAnswered: boolean;
}

export class UnansweredRequests {
  readonly #clock: Clock;
  readonly #maxAgeMs: number;
  /** Oldest first. */
  readonly #requests = new Set<Unanswered>();
  #waiters: (() => void)[] = [];
  #timer: unknown = null;

  constructor(clock: Clock, maxAgeMs: number) {
    this.#clock = clock;
    this.#maxAgeMs = maxAgeMs;
  }

  get size(): number {
    return this.#requests.size;
  }

  add(): Unanswered {
    this.#forgetOld();
    const request = { receivedAt: this.#clock.monotonic(), isAnswered: false };
    this.#requests.add(request);
    return request;
  }

  answered(request: Unanswered): void {
    request.isAnswered = true;
    this.#requests.delete(request);
    this.#tellWhenNone();
  }

  whenNone(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push(resolve);
      this.#tellWhenNone();
    });
  }

  /** Nobody waits any more. */
  close(): void {
    this.#requests.clear();
    this.#clock.clearTimeout(this.#timer);
    this.#tellWhenNone();
  }

  #tellWhenNone(): void {
    if (this.#waiters.length === 0) return;
    this.#forgetOld();
    const [oldest] = this.#requests;
    this.#clock.clearTimeout(this.#timer);
    if (oldest) {
      this.#timer = this.#clock.setTimeout(
        () => this.#tellWhenNone(),
        Math.max(1, oldest.receivedAt + this.#maxAgeMs - this.#clock.monotonic()),
      );
      return;
    }
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  #forgetOld(): void {
    const before = this.#clock.monotonic() - this.#maxAgeMs;
    for (const request of this.#requests) {
      if (request.receivedAt > before) return;
      this.#requests.delete(request);
    }
  }
}
