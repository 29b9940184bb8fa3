/**
 * The transport inside one process: for tests, and for roles that share a process. Peers meet on a bus. Every message arrives in a later
 * microtask or, with `delayMs`, through the clock, and always in the order in which it was sent.
 */
import type { Clock } from '../core/clock.ts';
import { checkSize, closed, PendingRequests } from './pending-requests.ts';
import { checkSubject } from './subject-patterns.ts';
import { noResponse, Subscribers } from './subscribers.ts';
import type { IncomingMessage, Subscription, Transport } from './transport.ts';

/** How one message travels from peer to peer; `subject` is `gone` for the news of a peer's end, and `answer` for a request's. */
export type Carry = (from: string, to: string, subject: string, deliver: () => void) => void;

export interface LoopbackBusOptions {
  /** For the time-outs of requests, and for `delayMs`. */
  readonly clock: Clock;
  /** 0 = in a microtask. */
  readonly delayMs?: number;
  /** 32 MiB. */
  readonly maxMessageBytes?: number;
  /** In the place of `delayMs`: a simulated network loses, delays and repeats here. */
  readonly carry?: Carry;
}

export class LoopbackBus {
  readonly clock: Clock;
  readonly maxMessageBytes: number;
  readonly #delayMs: number;
  readonly #carry: Carry | null;
  readonly #peers = new Map<string, LoopbackTransport>();

  constructor(options: LoopbackBusOptions) {
    this.clock = options.clock;
    this.#delayMs = options.delayMs ?? 0;
    this.#carry = options.carry ?? null;
    this.maxMessageBytes = options.maxMessageBytes ?? 32 * 2 ** 20;
  }

  /** @param clock the peer's own, for its time-outs. */
  connect(peerId: string, clock: Clock = this.clock): LoopbackTransport {
    if (this.#peers.has(peerId)) throw new Error(`${peerId} is already on the bus.`);
    const transport = new LoopbackTransport(this, peerId, clock);
    this.#peers.set(peerId, transport);
    return transport;
  }

  /** The peers that can be reached. */
  peers(): readonly LoopbackTransport[] {
    return [...this.#peers.values()].filter((peer) => peer.isConnected);
  }

  /** As a kill -9 would: it hears and says nothing more, and the others are told. */
  kill(peerId: string): void {
    const peer = this.#peers.get(peerId);
    this.#peers.delete(peerId);
    peer?.vanish();
    this.#tellGone(peerId);
  }

  /** The peer loses its connection and notices; so do the others. */
  disconnect(peerId: string): void {
    this.#peers.get(peerId)?.setConnected(false);
    this.#tellGone(peerId);
  }

  reconnect(peerId: string): void {
    this.#peers.get(peerId)?.setConnected(true);
  }

  /** The peer closed its transport. */
  left(peerId: string): void {
    if (this.#peers.delete(peerId)) this.#tellGone(peerId);
  }

  later(run: () => void): void {
    if (this.#delayMs === 0) queueMicrotask(run);
    else this.clock.setTimeout(run, this.#delayMs);
  }

  carry(from: string, to: string, subject: string, deliver: () => void): void {
    if (this.#carry) this.#carry(from, to, subject, deliver);
    else this.later(deliver);
  }

  #tellGone(peerId: string): void {
    for (const peer of this.peers()) if (peer.peerId !== peerId) this.carry(peerId, peer.peerId, 'gone', () => peer.noteGone(peerId));
  }
}

export class LoopbackTransport implements Transport {
  readonly peerId: string;
  readonly maxMessageBytes: number;
  readonly #bus: LoopbackBus;
  readonly #subscribers = new Subscribers();
  readonly #pending: PendingRequests;
  readonly #goneHandlers: ((peerId: string) => void)[] = [];
  readonly #disconnectedHandlers: (() => void)[] = [];
  readonly #reconnectedHandlers: (() => void)[] = [];
  #state: 'open' | 'disconnected' | 'draining' | 'closed' = 'open';

  /** Made by `LoopbackBus.connect`. */
  constructor(bus: LoopbackBus, peerId: string, clock: Clock) {
    this.#bus = bus;
    this.peerId = peerId;
    this.maxMessageBytes = bus.maxMessageBytes;
    this.#pending = new PendingRequests(clock);
  }

  get isConnected(): boolean {
    return this.#state === 'open' || this.#state === 'draining';
  }

  /** After `close`, and while disconnected, it does nothing. @throws TransportError `too_large` */
  publish(subject: string, data: Uint8Array): void {
    checkSubject(subject);
    checkSize(subject, data, this.maxMessageBytes);
    if (this.#state !== 'open') return;
    for (const peer of this.#bus.peers())
      if (peer.#subscribers.has(subject))
        this.#bus.carry(this.peerId, peer.peerId, subject, () => peer.#receive(subject, data, noResponse));
  }

  subscribe(pattern: string, handler: (message: IncomingMessage) => void): Subscription {
    return this.#subscribers.subscribe(pattern, handler);
  }

  async request(subject: string, data: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    checkSubject(subject);
    checkSize(subject, data, this.maxMessageBytes);
    if (this.#state === 'draining' || this.#state === 'closed') throw closed(subject);
    const peers = this.#state === 'open' ? this.#bus.peers().filter((peer) => peer.#subscribers.has(subject)) : [];
    const { id, answer } = this.#pending.open(
      subject,
      timeoutMs,
      peers.map((peer) => peer.peerId),
    );
    for (const peer of peers) {
      const back = (deliver: () => void): void => this.#bus.carry(peer.peerId, this.peerId, 'answer', deliver);
      const respond = (answer: Uint8Array): void => back(() => this.#pending.answer(id, answer));
      this.#bus.carry(this.peerId, peer.peerId, subject, () => {
        if (peer.#receive(subject, data, respond) === 0) back(() => this.#pending.refuse(id, peer.peerId));
      });
    }
    return answer;
  }

  onPeerGone(handler: (peerId: string) => void): void {
    this.#goneHandlers.push(handler);
  }

  onSelfDisconnected(handler: () => void): void {
    this.#disconnectedHandlers.push(handler);
  }

  onSelfReconnected(handler: () => void): void {
    this.#reconnectedHandlers.push(handler);
  }

  async drain(): Promise<void> {
    if (this.#state !== 'open') return this.close();
    this.#state = 'draining';
    await new Promise<void>((resolve) => this.#bus.later(resolve)); // behind everything that was published
    await this.close();
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.vanish();
    this.#bus.left(this.peerId);
  }

  /** The bus's side. */
  vanish(): void {
    this.#state = 'closed';
    this.#pending.close();
    this.#subscribers.clear();
  }

  noteGone(peerId: string): void {
    if (!this.isConnected) return;
    this.#pending.peerGone(peerId);
    for (const handler of this.#goneHandlers) handler(peerId);
  }

  setConnected(isConnected: boolean): void {
    if (this.#state === 'closed' || isConnected === this.isConnected) return;
    this.#state = isConnected ? 'open' : 'disconnected';
    for (const handler of isConnected ? this.#reconnectedHandlers : this.#disconnectedHandlers) handler();
  }

  #receive(subject: string, data: Uint8Array, respond: (data: Uint8Array) => void): number {
    return this.isConnected ? this.#subscribers.deliver(subject, data, respond) : 0;
  }
}
