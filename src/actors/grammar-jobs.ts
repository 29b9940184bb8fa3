/** What the grammar host keeps of its cells and of the jobs that wait for one. */
import type { Clock } from '../core/clock.ts';
import type { MatcherMemory } from './grammar-memory.ts';
import type { CellLink } from './grammar-thread.ts';
import type { Log } from './log.ts';

export interface GrammarHostOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly modelDir: string;
  /** The counter that wakes the rank. */
  readonly rankWake: SharedArrayBuffer;
  /** Threads at most, the empty one included. 4. */
  readonly maxCells?: number;
  /** Computing time for one compilation with 16,384 tokens; in proportion with more. 500 ms. */
  readonly compileLimitMs?: number;
  /** Computing time for one mask. 2000 ms. */
  readonly maskLimitMs?: number;
}

export interface GrammarRequest {
  /** A structural tag as JSON text. */
  readonly text: string;
  readonly choices: readonly { readonly index: number; readonly outputIds: readonly number[] }[];
  /** Output tokens of a choice at most. */
  readonly maxTokens: number;
  /** Tokens that are the only ones allowed come without being asked for. */
  readonly runsAhead: boolean;
}

/** Nothing is wrong with the grammar: every cell is taken, or none can be started. */
export class GrammarUnavailableError extends Error {
  override readonly name = 'GrammarUnavailableError';
}

export interface OpenMatcher {
  readonly id: number;
  readonly memory: MatcherMemory;
}

export interface Job {
  readonly id: number;
  readonly text: string;
  readonly runsAhead: boolean;
  readonly choices: GrammarRequest['choices'];
  readonly maxTokens: number;
  matchers: readonly OpenMatcher[];
  /** Whether its grammar compiles quickly; null = nobody knows. */
  isQuick: boolean | null;
  /** An engine has taken it before, and its text has begun: it is waited for. */
  readonly isContinued: boolean;
  readonly askedAt: number;
  startedAt: number;
  readonly settle: { resolve(matchers: readonly OpenMatcher[]): void; reject(error: Error): void };
}

export interface Cell {
  readonly index: number;
  readonly link: CellLink;
  isReady: boolean;
  /** The one job that it was given. `isTrial`: it only compiles. */
  current: { readonly job: Job; readonly isTrial: boolean } | null;
  readonly texts: Set<string>;
  readonly matchers: Map<number, OpenMatcher & { readonly text: string; readonly runsAhead: boolean; readonly isSlow: boolean }>;
  operation: { readonly number: number; readonly since: number; readonly computedMs: number | null } | null;
  /** Of its thread (thread-clock.ts). */
  clock: string | null;
  numBytes: number;
}
