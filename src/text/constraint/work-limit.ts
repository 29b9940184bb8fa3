/**
 * How much may be computed for one constraint, counted in steps and not in time, so that the same constraint is always accepted or always
 * refused. Compiling never waits, so one count at a time is enough.
 */
import { ConstraintError } from './constraint-error.ts';

/** About 10 ms. */
export const SMALL_WORK = 10_000;
/** About a second. */
export const LARGE_WORK = 1_000_000;

export class WorkLimitError extends ConstraintError {
  constructor() {
    super('The constraint is too complex to be compiled: fewer alternatives, patterns or shorter repeats would help');
  }
}

/** Without a limit nothing is counted. */
let left = Number.POSITIVE_INFINITY;

/** @throws WorkLimitError when `run` takes more steps. */
export function withWorkLimit<T>(limit: number, run: () => T): T {
  const before = left;
  left = Math.min(limit, before);
  const granted = left;
  try {
    return run();
  } finally {
    left = before - (granted - left);
  }
}

/** Whether so much may still be done. */
export const hasWork = (steps: number): boolean => left >= steps;

/** Where something is computed whose size depends on the request. @throws WorkLimitError */
export function spend(steps: number): void {
  left -= steps;
  if (left < 0) throw new WorkLimitError();
}
