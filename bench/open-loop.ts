/**
 * Sends requests at times that were fixed beforehand, whether or not earlier ones have been answered: what a crowd of independent users
 * does. With a limit on concurrency a request may be sent later than intended; both times are recorded.
 */

/** `send(index, intendedMs)` runs one request; resolves with all results, in the order of the arrivals. Times are `performance.now()`. */
export async function runOpenLoop<Result>(
  arrivalsMs: readonly number[],
  maxConcurrency: number,
  send: (index: number, intendedMs: number) => Promise<Result>,
): Promise<{ results: Result[]; startMs: number; endMs: number }> {
  const slots = new Slots(maxConcurrency);
  const startMs = performance.now();
  const results = await Promise.all(
    arrivalsMs.map(async (arrivalMs, index) => {
      const intendedMs = startMs + arrivalMs;
      await sleepUntil(intendedMs);
      await slots.acquire();
      try {
        return await send(index, intendedMs);
      } finally {
        slots.release();
      }
    }),
  );
  return { results, startMs, endMs: performance.now() };
}

async function sleepUntil(timeMs: number): Promise<void> {
  const wait = timeMs - performance.now();
  if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
}

/** A counting semaphore, first come first served. */
class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async acquire(): Promise<void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}
