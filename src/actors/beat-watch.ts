/**
 * Who has been silent too long. Judged at the watcher's own ticks: when the watcher itself was held up (a long synchronous call, a
 * suspended laptop), beats are waiting unread, so that time counts against nobody. Suspended while this process is cut off.
 */
import type { Clock } from '../core/clock.ts';

export class BeatWatch {
  readonly #clock: Clock;
  readonly #silenceMs: number;
  readonly #tickMs: number;
  readonly #lastHeard = new Map<string, number>();
  /** Of those that may be silent for longer. */
  readonly #limitsMs = new Map<string, number>();
  #lastTick: number;
  #isSuspended = false;

  constructor(options: { readonly clock: Clock; readonly silenceMs: number; readonly tickMs: number }) {
    this.#clock = options.clock;
    this.#silenceMs = options.silenceMs;
    this.#tickMs = options.tickMs;
    this.#lastTick = options.clock.monotonic();
  }

  /** @param silenceMs how long this one may be silent from now on, where that is not what all may. */
  heard(id: string, silenceMs = this.#silenceMs): void {
    this.#lastHeard.set(id, this.#clock.monotonic());
    this.#limitsMs.set(id, silenceMs);
  }

  forget(id: string): void {
    this.#lastHeard.delete(id);
    this.#limitsMs.delete(id);
  }

  suspend(): void {
    this.#isSuspended = true;
  }

  /** Everybody gets a full period from now. */
  resume(): void {
    this.#isSuspended = false;
    const now = this.#clock.monotonic();
    for (const id of this.#lastHeard.keys()) this.#lastHeard.set(id, now);
    this.#lastTick = now;
  }

  /** To be called every `tickMs`: forgets and returns those that are silent for longer than they may. */
  tick(): readonly string[] {
    const now = this.#clock.monotonic();
    const heldUpMs = now - this.#lastTick - this.#tickMs;
    this.#lastTick = now;
    if (this.#isSuspended) return [];
    if (heldUpMs > this.#tickMs) for (const [id, at] of this.#lastHeard) this.#lastHeard.set(id, at + heldUpMs);
    const silent: string[] = [];
    for (const [id, at] of this.#lastHeard) if (now - at > this.#limitsMs.get(id)!) silent.push(id);
    for (const id of silent) this.forget(id);
    return silent;
  }
}
