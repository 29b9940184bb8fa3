/** Time that a test moves. Between two timers everything that was promised meanwhile runs to its end. */
import type { Clock } from '../../src/core/clock.ts';

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export class VirtualClock implements Clock {
  readonly #timers = new Set<Timer>();
  #now = 1_000_000;
  #order = 0;

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  get numTimers(): number {
    return this.#timers.size;
  }

  setTimeout(run: () => void, delayMs: number): unknown {
    const timer = { at: this.#now + Math.max(0, delayMs), order: this.#order++, run };
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer as Timer);
  }

  /** Lets `ms` pass: every timer due in it runs, in order. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settled();
    for (let next = this.#next(); next && next.at <= end; next = this.#next()) await this.#fire(next);
    this.#now = end;
  }

  /** Time jumps without anything running, as when a process is held up; then what is due runs. */
  async stall(ms: number): Promise<void> {
    this.#now += ms;
    await this.advance(0);
  }

  /** Lets time pass until the claim holds. @throws when it does not within `limitMs`. */
  async until(claim: () => boolean, limitMs = 120_000): Promise<void> {
    const end = this.#now + limitMs;
    await settled();
    while (!claim()) {
      const next = this.#next();
      if (!next || next.at > end) throw new Error(`Not within ${limitMs} ms of virtual time: ${claim}`);
      await this.#fire(next);
    }
  }

  /** Lets time pass until the promise settles. */
  async untilSettled<T>(promise: Promise<T>, limitMs = 120_000): Promise<T> {
    let isSettled = false;
    const mark = (): void => {
      isSettled = true;
    };
    promise.then(mark, mark);
    await this.until(() => isSettled, limitMs);
    return promise;
  }

  async #fire(timer: Timer): Promise<void> {
    this.#timers.delete(timer);
    this.#now = Math.max(this.#now, timer.at);
    timer.run();
    await settled();
  }

  #next(): Timer | null {
    let next: Timer | null = null;
    for (const timer of this.#timers)
      if (next === null || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) next = timer;
    return next;
  }
}

/** All promises that can go on without time have. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
