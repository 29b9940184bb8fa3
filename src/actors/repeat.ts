/** Small waits on the clock that was handed in. */
import type { Clock } from '../core/clock.ts';

/** Calls `run` every `everyMs` until stopped; the first call is one period from now. */
export function repeat(clock: Clock, everyMs: number, run: () => void): { stop(): void } {
  let isStopped = false;
  let timer: unknown;
  const next = (): void => {
    timer = clock.setTimeout(() => {
      if (isStopped) return;
      run();
      if (!isStopped) next();
    }, everyMs);
  };
  next();
  return {
    stop: () => {
      isStopped = true;
      clock.clearTimeout(timer);
    },
  };
}

/** Resolves after `delayMs`, or at once when `signal` aborts. */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const wake = (): void => {
      clock.clearTimeout(timer);
      signal.removeEventListener('abort', wake);
      resolve();
    };
    const timer = clock.setTimeout(wake, delayMs);
    signal.addEventListener('abort', wake, { once: true });
  });
}
