/**
 * Requests whose answer has not come. Each goes to every peer that subscribes, the first answer wins. It fails at once when nobody is left
 * who could answer, and after its time-out otherwise.
 */
import type { Clock } from '../core/clock.ts';
import { TransportError } from './transport.ts';

interface Pending {
  readonly subject: string;
  /** Peers that may still answer. */
  readonly askedPeers: Set<string>;
  readonly timer: unknown;
  readonly resolve: (data: Uint8Array) => void;
  readonly reject: (error: TransportError) => void;
}

export class PendingRequests {
  readonly #clock: Clock;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** @throws TransportError `no_responders` (in `answer`) when `peers` is empty. */
  open(subject: string, timeoutMs: number, peers: Iterable<string>): { readonly id: number; readonly answer: Promise<Uint8Array> } {
    const askedPeers = new Set(peers);
    if (askedPeers.size === 0) return { id: 0, answer: Promise.reject(noResponders(subject)) };
    const id = this.#nextId;
    this.#nextId = id === 0xffffffff ? 1 : id + 1;
    const answer = new Promise<Uint8Array>((resolve, reject) => {
      const timer = this.#clock.setTimeout(() => {
        this.#pending.delete(id);
        reject(timedOut(subject, `within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#pending.set(id, { subject, askedPeers, timer, resolve, reject });
    });
    return { id, answer };
  }

  /** Whether somebody still waits for the answer. */
  has(id: number): boolean {
    return this.#pending.has(id);
  }

  /** Late and second answers are dropped. */
  answer(id: number, data: Uint8Array): void {
    this.#take(id)?.resolve(data);
  }

  /** The peer had unsubscribed when the request arrived. */
  refuse(id: number, peerId: string): void {
    const pending = this.#pending.get(id);
    if (!pending?.askedPeers.delete(peerId) || pending.askedPeers.size > 0) return;
    this.#take(id)?.reject(noResponders(pending.subject));
  }

  /** Whether a peer that died had begun to work on a request is unknown, hence `timeout`, but nobody needs to wait for it. */
  peerGone(peerId: string): void {
    for (const [id, pending] of this.#pending) {
      if (!pending.askedPeers.delete(peerId) || pending.askedPeers.size > 0) continue;
      this.#take(id)?.reject(timedOut(pending.subject, `: ${peerId} is gone`));
    }
  }

  close(): void {
    for (const [id, { subject }] of this.#pending) this.#take(id)?.reject(closed(subject));
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (pending) this.#clock.clearTimeout(pending.timer);
    return pending;
  }
}

export const noResponders = (subject: string): TransportError => new TransportError('no_responders', `Nobody subscribes to ${subject}.`);
export const closed = (subject: string): TransportError => new TransportError('closed', `The transport was closed (${subject}).`);
export const timedOut = (subject: string, how: string): TransportError =>
  new TransportError('timeout', `No answer on ${subject} ${how}.`.replace(' :', ':'));

/** @throws TransportError `too_large` */
export function checkSize(subject: string, data: Uint8Array, maxMessageBytes: number): void {
  if (data.byteLength <= maxMessageBytes) return;
  throw new TransportError('too_large', `A message of ${data.byteLength} bytes for ${subject}; the longest may have ${maxMessageBytes}.`);
}
