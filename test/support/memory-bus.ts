/** Transports of several imaginary processes that share a memory. Messages are copied and arrive in a later microtask. */
import { type IncomingMessage, type Subscription, type Transport, TransportError } from '../../src/transport/transport.ts';
import type { VirtualClock } from './virtual-clock.ts';

export class MemoryBus {
  readonly clock: VirtualClock;
  readonly peers = new Map<string, MemoryTransport>();

  constructor(clock: VirtualClock) {
    this.clock = clock;
  }

  connect(peerId: string): MemoryTransport {
    const transport = new MemoryTransport(this, peerId);
    this.peers.set(peerId, transport);
    return transport;
  }

  /** As kill -9: nothing goes in or out any more, the others see the connection close. */
  kill(peerId: string): void {
    const dead = this.peers.get(peerId);
    if (!dead) return;
    dead.isDead = true;
    this.peers.delete(peerId);
    for (const peer of this.peers.values()) for (const handler of peer.peerGoneHandlers) handler(peerId);
  }
}

export class MemoryTransport implements Transport {
  readonly peerId: string;
  readonly maxMessageBytes = 2 ** 30;
  readonly peerGoneHandlers: ((peerId: string) => void)[] = [];
  readonly subscriptions = new Set<{ readonly subject: string; readonly handler: (message: IncomingMessage) => void }>();
  readonly #bus: MemoryBus;
  isDead = false;
  /** Nothing it sends arrives; what is sent to it does. */
  isMuted = false;

  constructor(bus: MemoryBus, peerId: string) {
    this.#bus = bus;
    this.peerId = peerId;
  }

  publish(subject: string, data: Uint8Array): void {
    this.#send(subject, data, () => {});
  }

  subscribe(subject: string, handler: (message: IncomingMessage) => void): Subscription {
    const subscription = { subject, handler };
    this.subscriptions.add(subscription);
    return { unsubscribe: () => void this.subscriptions.delete(subscription) };
  }

  request(subject: string, data: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const timer = this.#bus.clock.setTimeout(() => reject(new TransportError('timeout', 'no answer')), timeoutMs);
      const settle = (run: () => void): void => {
        this.#bus.clock.clearTimeout(timer);
        run();
      };
      const numReceivers = this.#send(subject, data, (reply) => queueMicrotask(() => settle(() => resolve(reply.slice()))));
      if (numReceivers === 0) settle(() => reject(new TransportError('no_responders', `nobody subscribes to ${subject}`)));
    });
  }

  onPeerGone(handler: (peerId: string) => void): void {
    this.peerGoneHandlers.push(handler);
  }

  onSelfDisconnected(): void {}
  onSelfReconnected(): void {}

  async drain(): Promise<void> {
    await this.close();
  }

  async close(): Promise<void> {
    this.#bus.kill(this.peerId);
  }

  #send(subject: string, data: Uint8Array, respond: (data: Uint8Array) => void): number {
    if (this.isDead || this.isMuted) return 0;
    let numReceivers = 0;
    for (const peer of this.#bus.peers.values()) {
      for (const subscription of peer.subscriptions) {
        if (subscription.subject !== subject) continue;
        numReceivers++;
        queueMicrotask(() => {
          if (!peer.isDead && peer.subscriptions.has(subscription))
            subscription.handler({ subject, data: data.slice(), respond: (reply) => !peer.isDead && !this.isDead && respond(reply) });
        });
      }
    }
    return numReceivers;
  }
}
