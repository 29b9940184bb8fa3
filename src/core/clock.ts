/**
 * Time as an argument: core, engine, actors and transport never touch `Date`, timers or `performance` themselves.
 * The shape is a superset of xstate's `Clock`, so that one object drives machines and plain code alike.
 */
export interface Clock {
  /** Wall-clock time, milliseconds since 1970. For timestamps that people or other machines read. */
  now(): number;
  /** Milliseconds that never run backwards. For durations and deadlines. */
  monotonic(): number;
  setTimeout(run: () => void, delayMs: number): unknown;
  clearTimeout(timer: unknown): void;
}

/** A source of numbers in [0, 1), for jitter and ids that need no secrecy. Sampling never uses it (see engine/random.ts). */
export type RandomSource = () => number;
