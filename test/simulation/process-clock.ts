/** One process's share of the virtual clock: its timers stand still with it and end with it. Its wall clock may be wrong. */
import type { Clock } from '../../src/core/clock.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';

export class ProcessClock implements Clock {
  readonly #world: VirtualClock;
  readonly #timers = new Set<object>();
  /** What came due while the process stood still, in order. */
  #held: (() => void)[] = [];
  #state: 'running' | 'frozen' | 'dead' = 'running';
  #wallOffsetMs = 0;

  constructor(world: VirtualClock) {
    this.#world = world;
  }

  get state(): 'running' | 'frozen' | 'dead' {
    return this.#state;
  }

  /** Timers that were set and have neither fired nor been cleared. */
  get numTimers(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#world.now() + this.#wallOffsetMs;
  }

  monotonic(): number {
    return this.#world.monotonic();
  }

  setTimeout(run: () => void, delayMs: number): unknown {
    const timer: { handle: unknown } = { handle: null };
    if (this.#state === 'dead') return timer;
    this.#timers.add(timer);
    const fire = (): void => {
      if (this.#timers.delete(timer)) run();
    };
    timer.handle = this.#world.setTimeout(() => this.whenRunning(fire), delayMs);
    return timer;
  }

  clearTimeout(handle: unknown): void {
    const timer = handle as { readonly handle: unknown } | null | undefined;
    if (timer && this.#timers.delete(timer)) this.#world.clearTimeout(timer.handle);
  }

  /** Now, or when the process goes on; never when it is dead. */
  whenRunning(run: () => void): void {
    if (this.#state === 'running') run();
    else if (this.#state === 'frozen') this.#held.push(run);
  }

  /** As SIGSTOP does: time passes, nothing happens. */
  freeze(): void {
    if (this.#state === 'running') this.#state = 'frozen';
  }

  /** As SIGCONT does: what waited happens, in the order in which it came. */
  thaw(): void {
    if (this.#state !== 'frozen') return;
    this.#state = 'running';
    for (const run of this.#held.splice(0)) this.#world.setTimeout(() => this.whenRunning(run), 0);
  }

  kill(): void {
    this.#state = 'dead';
    this.#held = [];
    for (const timer of [...this.#timers]) this.clearTimeout(timer);
  }

  /** The wall clock jumps; durations do not. */
  moveWallClock(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }
}
