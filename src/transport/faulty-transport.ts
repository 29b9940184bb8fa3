/**
 * Any transport, made worse: for tests of what lives above it. Messages are lost, delayed (so that subjects overtake each other, while each
 * subject keeps its order), duplicated, or all cut off. Faults are drawn from the random source, so a seed repeats a run.
 */
import type { Clock, RandomSource } from '../core/clock.ts';
import { timedOut } from './pending-requests.ts';
import type { IncomingMessage, Subscription, Transport } from './transport.ts';

export interface Faults {
  readonly random: RandomSource;
  readonly clock: Clock;
  /** Share of messages, requests and answers that never arrive: 0 … 1. */
  readonly lossRate?: number;
  /** Share of messages and requests that arrive twice: 0 … 1. */
  readonly duplicateRate?: number;
  /** Messages and requests are late by up to this much. */
  readonly delayMs?: number;
}

interface Delayed {
  readonly dueAt: number;
  readonly send: () => void;
}

export class FaultyTransport implements Transport {
  readonly #inner: Transport;
  readonly #faults: Required<Faults>;
  readonly #delayed = new Map<string, Delayed[]>();
  readonly #disconnectedHandlers: (() => void)[] = [];
  readonly #reconnectedHandlers: (() => void)[] = [];
  #isCut = false;
  #isCutNoticed = false;
  numLost = 0;
  numDuplicated = 0;

  constructor(inner: Transport, faults: Faults) {
    this.#inner = inner;
    this.#faults = { lossRate: 0, duplicateRate: 0, delayMs: 0, ...faults };
  }

  get peerId(): string {
    return this.#inner.peerId;
  }

  get maxMessageBytes(): number {
    return this.#inner.maxMessageBytes;
  }

  /** Nothing goes out or comes in until `restore`. A silent cut is one that the process does not notice, as when a network drops packets. */
  cut(options: { readonly isSilent?: boolean } = {}): void {
    if (this.#isCut) return;
    this.#isCut = true;
    this.#isCutNoticed = !options.isSilent;
    if (this.#isCutNoticed) for (const handler of this.#disconnectedHandlers) handler();
  }

  restore(): void {
    if (!this.#isCut) return;
    this.#isCut = false;
    if (this.#isCutNoticed) for (const handler of this.#reconnectedHandlers) handler();
  }

  publish(subject: string, data: Uint8Array): void {
    for (let copies = this.#numCopies(); copies > 0; copies--) this.#delay(subject, () => this.#inner.publish(subject, data));
  }

  subscribe(pattern: string, handler: (message: IncomingMessage) => void): Subscription {
    return this.#inner.subscribe(pattern, (message) => {
      if (!this.#isCut) handler({ ...message, respond: (answer) => !this.#isLost() && message.respond(answer) });
    });
  }

  request(subject: string, data: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const { clock } = this.#faults;
    const deadline = clock.monotonic() + timeoutMs;
    return new Promise((resolve, reject) => {
      const timer = clock.setTimeout(() => reject(timedOut(subject, `within ${timeoutMs} ms`)), timeoutMs);
      const settle = (outcome: () => void): void => {
        if (this.#isCut) return; // the answer is lost too, and the time-out says so
        clock.clearTimeout(timer);
        outcome();
      };
      for (let copies = this.#numCopies(); copies > 0; copies--) {
        this.#delay(subject, () => {
          this.#inner.request(subject, data, Math.max(1, deadline - clock.monotonic())).then(
            (answer) => settle(() => resolve(answer)),
            (error) => settle(() => reject(error)),
          );
        });
      }
    });
  }

  onPeerGone(handler: (peerId: string) => void): void {
    this.#inner.onPeerGone((peerId) => {
      if (!this.#isCut) handler(peerId);
    });
  }

  onSelfDisconnected(handler: () => void): void {
    this.#disconnectedHandlers.push(handler);
    this.#inner.onSelfDisconnected(handler);
  }

  onSelfReconnected(handler: () => void): void {
    this.#reconnectedHandlers.push(handler);
    this.#inner.onSelfReconnected(handler);
  }

  /** What was still late goes out at once. */
  async drain(): Promise<void> {
    for (const queue of this.#delayed.values()) for (const { send } of queue) send();
    this.#delayed.clear();
    await this.#inner.drain();
  }

  async close(): Promise<void> {
    this.#delayed.clear();
    await this.#inner.close();
  }

  #numCopies(): 0 | 1 | 2 {
    if (this.#isLost()) return 0;
    if (this.#faults.duplicateRate === 0 || this.#faults.random() >= this.#faults.duplicateRate) return 1;
    this.numDuplicated++;
    return 2;
  }

  #isLost(): boolean {
    const isLost = this.#isCut || (this.#faults.lossRate > 0 && this.#faults.random() < this.#faults.lossRate);
    if (isLost) this.numLost++;
    return isLost;
  }

  #delay(subject: string, send: () => void): void {
    const { delayMs, random, clock } = this.#faults;
    if (delayMs === 0) {
      send();
      return;
    }
    const queue = this.#delayed.get(subject);
    const earliest = queue?.at(-1)?.dueAt ?? 0;
    const entry: Delayed = { dueAt: Math.max(earliest, clock.monotonic() + random() * delayMs), send };
    if (queue) {
      queue.push(entry);
      return;
    }
    this.#delayed.set(subject, [entry]);
    this.#sendWhenDue(subject);
  }

  /** One timer per subject, for its first message: timers of different lengths may fire in either order. */
  #sendWhenDue(subject: string): void {
    const first = this.#delayed.get(subject)?.[0];
    if (!first) return;
    this.#faults.clock.setTimeout(
      () => {
        const queue = this.#delayed.get(subject);
        if (queue?.[0] !== first) return; // drained or closed
        queue.shift();
        if (!this.#isCut) first.send();
        if (queue.length === 0) this.#delayed.delete(subject);
        else this.#sendWhenDue(subject);
      },
      Math.max(0, first.dueAt - this.#faults.clock.monotonic()),
    );
  }
}
