/**
 * The wires between processes. Each message may be lost, late or doubled; messages of one sender, receiver and subject keep their order,
 * all others may overtake each other. A link can be cut in one direction or both, without anybody being told.
 */

import type { RandomSource } from '../../src/core/clock.ts';
import type { Carry } from '../../src/transport/loopback.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';
import type { EventLog } from './event-log.ts';

export interface Weather {
  /** Share of messages that never arrive: 0 … 1. */
  readonly lossRate: number;
  /** Share that arrives twice: 0 … 1. */
  readonly duplicateRate: number;
  readonly minDelayMs: number;
  readonly maxDelayMs: number;
  /** Whether the others are told when a process's connection ends, as sockets do; otherwise its silence has to tell them. */
  readonly tellsDeaths: boolean;
}

export interface NetworkOptions {
  readonly clock: VirtualClock;
  readonly random: RandomSource;
  readonly log: EventLog;
  readonly weather: Weather;
  /** The receiving process's side: runs `deliver` when and if that process can take it. */
  readonly receive: (peerId: string, deliver: () => void) => void;
}

/** Of a peer id: `engine-0.1000010-7` → `engine-0`. */
export const nameOf = (peerId: string): string => peerId.slice(0, peerId.indexOf('.'));

export class SimulatedNetwork {
  readonly #options: NetworkOptions;
  readonly #lastDueAt = new Map<string, number>();
  /** `from>to` by process name → how many cuts lie on it. */
  readonly #cuts = new Map<string, number>();
  weather: Weather;
  readonly counts = { carried: 0, lost: 0, doubled: 0, cut: 0 };

  constructor(options: NetworkOptions) {
    this.#options = options;
    this.weather = options.weather;
  }

  cut(from: string, to: string): void {
    const link = `${from}>${to}`;
    this.#cuts.set(link, (this.#cuts.get(link) ?? 0) + 1);
  }

  mend(from: string, to: string): void {
    const link = `${from}>${to}`;
    this.#cuts.set(link, Math.max(0, (this.#cuts.get(link) ?? 0) - 1));
  }

  readonly carry: Carry = (from, to, subject, deliver) => {
    const { random, log } = this.#options;
    if (from === to) {
      queueMicrotask(() => this.#options.receive(to, deliver));
      return;
    }
    const { lossRate, duplicateRate, tellsDeaths } = this.weather;
    this.counts.carried++;
    const fate = random();
    if (subject === 'gone' && !tellsDeaths) return;
    if (this.#isCut(from, to)) return this.#drop('cut', from, to, subject);
    if (fate < lossRate) return this.#drop('lost', from, to, subject);
    this.#send(from, to, subject, deliver);
    if (subject === 'gone' || random() >= duplicateRate) return;
    this.counts.doubled++;
    log.count(`doubled ${from} ${to} ${subject}`);
    this.#send(from, to, subject, deliver);
  };

  #send(from: string, to: string, subject: string, deliver: () => void): void {
    const { clock, random, log } = this.#options;
    const { minDelayMs, maxDelayMs } = this.weather;
    const line = `${from} ${to} ${subject}`;
    const now = clock.monotonic();
    // In 64ths of a millisecond, which add and subtract without rounding.
    const delayMs = Math.round((minDelayMs + random() * (maxDelayMs - minDelayMs)) * 64) / 64;
    const dueAt = Math.max(this.#lastDueAt.get(line) ?? 0, now + delayMs);
    this.#lastDueAt.set(line, dueAt);
    clock.setTimeout(() => {
      if (this.#isCut(from, to)) return this.#drop('cut', from, to, subject);
      log.count(line);
      this.#options.receive(to, deliver);
    }, dueAt - now);
  }

  #isCut(from: string, to: string): boolean {
    return (this.#cuts.get(`${nameOf(from)}>${nameOf(to)}`) ?? 0) > 0;
  }

  #drop(why: 'cut' | 'lost', from: string, to: string, subject: string): void {
    this.counts[why]++;
    this.#options.log.count(`${why} ${from} ${to} ${subject}`);
  }
}
