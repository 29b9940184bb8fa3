/**
 * Values from one producer to one reader. A read takes everything that waits, so a reader that falls behind catches up in one turn.
 * Memory is bounded by merging: above `maxWaiting` values, a new one is joined with a waiting one where `merge` knows how.
 */
export interface AsyncQueueOptions<T> {
  readonly maxWaiting?: number;
  /** One value that says what both said, in order; null when the two cannot be joined. */
  readonly merge?: (waiting: T, next: T) => T | null;
  /** The reader took all that waited. */
  readonly onTaken?: () => void;
  /** The reader left before the end. Called at most once, never after `end` or `fail`. */
  readonly onAbandoned?: () => void;
}

export class AsyncQueue<T> implements AsyncIterable<readonly T[]> {
  readonly #options: AsyncQueueOptions<T>;
  #waiting: T[] = [];
  #end: { readonly error: unknown } | null = null;
  #wake: (() => void) | null = null;
  #hasReader = false;

  constructor(options: AsyncQueueOptions<T> = {}) {
    this.#options = options;
  }

  get numWaiting(): number {
    return this.#waiting.length;
  }

  /** Ignored after the end. */
  push(value: T): void {
    if (this.#end) return;
    if (this.#waiting.length < (this.#options.maxWaiting ?? Number.POSITIVE_INFINITY) || !this.#mergeIn(value)) this.#waiting.push(value);
    this.#wakeReader();
  }

  /** What waits is still read; then the iteration is over. */
  end(): void {
    this.#finish({ error: null });
  }

  /** What waits is still read; then the reader gets the error. */
  fail(error: unknown): void {
    this.#finish({ error });
  }

  [Symbol.asyncIterator](): AsyncIterator<readonly T[]> {
    if (this.#hasReader) throw new Error('An AsyncQueue has one reader: iterate it once.');
    this.#hasReader = true;
    return {
      next: async () => {
        while (this.#waiting.length === 0 && !this.#end) await new Promise<void>((resolve) => (this.#wake = resolve));
        if (this.#waiting.length > 0) return { done: false, value: this.#takeAll() };
        if (this.#end?.error) throw this.#end.error;
        return { done: true, value: undefined };
      },
      return: async () => {
        this.#abandon();
        return { done: true, value: undefined };
      },
    };
  }

  #takeAll(): T[] {
    const all = this.#waiting;
    this.#waiting = [];
    this.#options.onTaken?.();
    return all;
  }

  #mergeIn(value: T): boolean {
    const merge = this.#options.merge;
    if (!merge) return false;
    for (let i = this.#waiting.length - 1; i >= 0; i--) {
      const merged = merge(this.#waiting[i] as T, value);
      if (merged === null) continue;
      this.#waiting[i] = merged;
      return true;
    }
    return false;
  }

  #finish(end: { readonly error: unknown }): void {
    this.#end ??= end;
    this.#wakeReader();
  }

  #abandon(): void {
    const wasOpen = this.#end === null;
    this.#waiting = [];
    this.#finish({ error: null });
    if (wasOpen) this.#options.onAbandoned?.();
  }

  #wakeReader(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}
