/**
 * When a dead child may start again: at once the first time, then later and later, with jitter so that many do not return in step; and not
 * at all when it died too often in a short time. Pure: time and randomness come in.
 */
import type { RandomSource } from '../core/clock.ts';

export interface RestartPolicy {
  /** The budget: so many restarts within so many milliseconds; one more and the child has failed. */
  readonly maxRestarts: number;
  readonly withinMs: number;
  /** Wait before the first restart, before the second, and at most; each later one waits twice as long as the one before. */
  readonly firstDelayMs: number;
  readonly secondDelayMs: number;
  readonly maxDelayMs: number;
  /** Share by which a wait is made shorter or longer. */
  readonly jitter: number;
  /** After so long a ready time the next death counts as a first one again. */
  readonly healthyAfterMs: number;
}

export const DEFAULT_RESTART_POLICY: RestartPolicy = {
  maxRestarts: 5,
  withinMs: 30_000,
  firstDelayMs: 40,
  secondDelayMs: 200,
  maxDelayMs: 10_000,
  jitter: 0.2,
  healthyAfterMs: 60_000,
};

export interface RestartHistory {
  /** Times of the restarts that still count for the budget, oldest first. */
  readonly restartedAt: readonly number[];
  /** Restarts since the child was last healthy. */
  readonly numInARow: number;
  readonly numRestarts: number;
  /** When the current process became ready; null before. */
  readonly readySince: number | null;
}

export const NO_RESTARTS: RestartHistory = { restartedAt: [], numInARow: 0, numRestarts: 0, readySince: null };

export type RestartDecision =
  | { readonly type: 'restart'; readonly delayMs: number; readonly history: RestartHistory }
  | { readonly type: 'spent' };

/** The child died at `now` (milliseconds, monotonic). */
export function decideRestart(history: RestartHistory, policy: RestartPolicy, now: number, random: RandomSource): RestartDecision {
  const restartedAt = history.restartedAt.filter((at) => now - at < policy.withinMs);
  if (restartedAt.length >= policy.maxRestarts) return { type: 'spent' };
  const wasHealthy = history.readySince !== null && now - history.readySince >= policy.healthyAfterMs;
  const numInARow = wasHealthy ? 0 : history.numInARow;
  return {
    type: 'restart',
    delayMs: delayOf(numInARow, policy, random),
    history: {
      restartedAt: [...restartedAt, now],
      numInARow: numInARow + 1,
      numRestarts: history.numRestarts + 1,
      readySince: null,
    },
  };
}

function delayOf(numInARow: number, policy: RestartPolicy, random: RandomSource): number {
  const planned = numInARow === 0 ? policy.firstDelayMs : policy.secondDelayMs * 2 ** (numInARow - 1);
  const jittered = Math.min(planned, policy.maxDelayMs) * (1 + policy.jitter * (2 * random() - 1));
  return Math.min(Math.round(jittered), policy.maxDelayMs);
}

export type RestartStrategy = 'one-for-one' | 'one-for-all' | 'rest-for-one';

/** Which children start anew when one died; `names` in start order. */
export function affectedBy(strategy: RestartStrategy, names: readonly string[], dead: string): readonly string[] {
  switch (strategy) {
    case 'one-for-one':
      return [dead];
    case 'one-for-all':
      return names;
    case 'rest-for-one':
      return names.slice(names.indexOf(dead));
    default:
      return strategy satisfies never;
  }
}
