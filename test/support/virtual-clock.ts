/** Time that a test moves. Between two timers everything that was promised meanwhile runs to its end. */
import type { Clock } from '../../src/core/clock.ts';

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  /** It fired, or was cleared. */
  isOver: boolean;
}

export class VirtualClock implements Clock {
  /** A heap: the first to fire on top. Cleared timers stay until they come up. */
  readonly #timers: Timer[] = [];
  #numLive = 0;
  #now = 1_000_000;
  #order = 0;

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  /** Timers that will still fire. */
  get numTimers(): number {
    return this.#numLive;
  }

  setTimeout(run: () => void, delayMs: number): unknown {
    const timer = { at: this.#now + Math.max(0, delayMs), order: this.#order++, run, isOver: false };
    this.#numLive++;
    this.#siftUp(timer);
    return timer;
  }

  clearTimeout(handle: unknown): void {
    const timer = handle as Timer | null | undefined;
    if (!timer || timer.isOver) return;
    timer.isOver = true;
    this.#numLive--;
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
    this.#removeFirst();
    timer.isOver = true;
    this.#numLive--;
    this.#now = Math.max(this.#now, timer.at);
    timer.run();
    await settled();
  }

  #next(): Timer | null {
    while (this.#timers[0]?.isOver) this.#removeFirst();
    return this.#timers[0] ?? null;
  }

  #siftUp(timer: Timer): void {
    const heap = this.#timers;
    let i = heap.push(timer) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (isBefore(heap[parent]!, timer)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = timer;
  }

  #removeFirst(): void {
    const heap = this.#timers;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (isBefore(last, heap[child]!)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }
}

const isBefore = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

/** All promises that can go on without time have. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
