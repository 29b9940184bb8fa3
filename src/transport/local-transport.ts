/**
 * The transport between processes of one machine, without a broker: every process listens on a Unix socket in a shared directory, and each
 * pair of processes has one connection.
 *
 * One connection per pair, because order matters across subjects too: a process announces a subscription before it publishes its address,
 * so whoever reads the address can already reach it.
 * Of a pair, the process with the smaller peer id connects. A new process listens first and then looks around, so of two that start
 * together at least one sees the other; where the one that looks has the greater id, it *knocks*: it connects, asks to be connected to, and
 * hangs up. A slow poll repairs what a full backlog or a dropped connection left apart.
 */
import type { Server, Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { PeerLink } from './peer-link.ts';
import { checkSize, closed, PendingRequests } from './pending-requests.ts';
import { SocketDirectory } from './socket-directory.ts';
import { checkSubject } from './subject-patterns.ts';
import { noResponse, Subscribers } from './subscribers.ts';
import type { IncomingMessage, Subscription, Transport } from './transport.ts';
import { type Hello, WireKind, type WireMessage } from './wire.ts';

export interface LocalTransportOptions {
  /** Made with mode 0700 if missing. Keep it short: a socket's path has at most 103 bytes. */
  readonly directory: string;
  /** Letters, digits, `_`, `-` and `.`; unique per start of a process. */
  readonly peerId: string;
  readonly clock: Clock;
  /** 32 MiB. */
  readonly maxMessageBytes?: number;
  /** A peer that leaves more than this unread is dropped: 64 MiB. */
  readonly maxQueuedBytes?: number;
  /** How often to look for processes that are not connected: 1 s. */
  readonly pollMs?: number;
  /** How long `open` waits for processes that are already there, and `drain` for those that still read: 1 s and 5 s. */
  readonly openTimeoutMs?: number;
  readonly drainTimeoutMs?: number;
}

export class LocalTransport implements Transport {
  readonly peerId: string;
  readonly maxMessageBytes: number;
  readonly #options: LocalTransportOptions;
  readonly #clock: Clock;
  readonly #pending: PendingRequests;
  readonly #subscribers: Subscribers;
  /** Open connections by peer id, and all that exist: those too that have not said hello. */
  readonly #links = new Map<string, PeerLink>();
  readonly #allLinks = new Set<PeerLink>();
  readonly #dialing = new Set<string>();
  readonly #goneHandlers: ((peerId: string) => void)[] = [];
  readonly #arrivalWaiters = new Set<() => void>();
  #directory!: SocketDirectory;
  #server!: Server;
  #pollTimer: unknown;
  #state: 'open' | 'draining' | 'closed' = 'open';

  private constructor(options: LocalTransportOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.peerId = options.peerId;
    this.maxMessageBytes = options.maxMessageBytes ?? 32 * 2 ** 20;
    this.#pending = new PendingRequests(options.clock);
    this.#subscribers = new Subscribers((change, pattern) => {
      const kind = change === 'added' ? WireKind.subscribe : WireKind.unsubscribe;
      for (const link of this.#allLinks) link.send(kind, 0, pattern);
    });
  }

  /**
   * Resolves when this process can be found and is connected to those that were there before it.
   * @throws StartupError: the directory cannot be used, or a living process has this peer id.
   */
  static async open(options: LocalTransportOptions): Promise<LocalTransport> {
    if (!/^[A-Za-z0-9_.-]+$/.test(options.peerId)) throw new Error(`"${options.peerId}" is not a peer id.`);
    const transport = new LocalTransport(options);
    transport.#directory = await SocketDirectory.open(options.directory, options.peerId);
    transport.#server = await transport.#directory.listen(options.peerId, (socket) => transport.#accept(socket));
    const found = await transport.#lookAround();
    await transport.#connectedTo(found, options.openTimeoutMs ?? 1000);
    transport.#pollLater();
    return transport;
  }

  /** The processes that this one is connected to. */
  peers(): string[] {
    return [...this.#links.keys()];
  }

  /** After `close` it does nothing. @throws TransportError `too_large` */
  publish(subject: string, data: Uint8Array): void {
    checkSubject(subject);
    checkSize(subject, data, this.maxMessageBytes);
    if (this.#state !== 'open') return;
    for (const link of this.#links.values()) if (link.wants(subject)) link.send(WireKind.publish, 0, subject, data);
    if (this.#subscribers.has(subject)) queueMicrotask(() => this.#subscribers.deliver(subject, data, noResponse));
  }

  subscribe(pattern: string, handler: (message: IncomingMessage) => void): Subscription {
    return this.#subscribers.subscribe(pattern, handler);
  }

  async request(subject: string, data: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    checkSubject(subject);
    checkSize(subject, data, this.maxMessageBytes);
    if (this.#state !== 'open') throw closed(subject);
    const links = [...this.#links.values()].filter((link) => link.wants(subject));
    const isForSelf = this.#subscribers.has(subject);
    const peers = links.map((link) => link.peerId).concat(isForSelf ? [this.peerId] : []);
    const { id, answer } = this.#pending.open(subject, timeoutMs, peers);
    for (const link of links) link.send(WireKind.request, id, subject, data);
    if (isForSelf) queueMicrotask(() => this.#requestFromSelf(id, subject, data));
    return answer;
  }

  onPeerGone(handler: (peerId: string) => void): void {
    this.#goneHandlers.push(handler);
  }

  /** Without a broker there is nothing to be cut off from. */
  onSelfDisconnected(_handler: () => void): void {}
  onSelfReconnected(_handler: () => void): void {}

  async drain(): Promise<void> {
    if (this.#state !== 'open') return this.close();
    await null; // deliveries to this process wait in the microtask queue
    this.#state = 'draining';
    const links = [...this.#allLinks];
    let deadline: unknown;
    const expired = new Promise<void>((resolve) => {
      deadline = this.#clock.setTimeout(resolve, this.#options.drainTimeoutMs ?? 5000);
    });
    await Promise.race([Promise.all(links.map((link) => link.endAfterFlush())), expired]);
    this.#clock.clearTimeout(deadline);
    await this.close();
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#clock.clearTimeout(this.#pollTimer);
    this.#pending.close();
    this.#subscribers.clear();
    const whenClosed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const link of this.#allLinks) link.end('closed');
    await this.#directory.remove(this.peerId);
    await whenClosed;
  }

  #requestFromSelf(id: number, subject: string, data: Uint8Array): void {
    const numCalled = this.#subscribers.deliver(subject, data, (answer) => this.#pending.answer(id, answer));
    if (numCalled === 0) this.#pending.refuse(id, this.peerId);
  }

  #receive(link: PeerLink, { kind, requestId, subject, payload }: WireMessage): void {
    if (this.#state === 'closed') return;
    if (kind === WireKind.publish) this.#subscribers.deliver(subject, payload, noResponse);
    else if (kind === WireKind.reply) this.#pending.answer(requestId, payload);
    else if (kind === WireKind.noResponders) this.#pending.refuse(requestId, link.peerId);
    else if (kind === WireKind.request) {
      const numCalled = this.#subscribers.deliver(subject, payload, (answer) => {
        checkSize(subject, answer, this.maxMessageBytes);
        link.send(WireKind.reply, requestId, '', answer);
      });
      if (numCalled === 0) link.send(WireKind.noResponders, requestId, '');
    }
  }

  /** Connects to, or knocks at, every process in the directory that is not connected. Returns them once they were reached. */
  async #lookAround(): Promise<string[]> {
    const strangers = (await this.#directory.peerIds()).filter((peerId) => peerId !== this.peerId && !this.#links.has(peerId));
    const reached = await Promise.all(strangers.map(async (peerId) => ((await this.#dial(peerId)) ? peerId : null)));
    return reached.filter((peerId) => peerId !== null);
  }

  async #dial(peerId: string): Promise<boolean> {
    if (this.#dialing.has(peerId) || this.#links.has(peerId)) return true;
    this.#dialing.add(peerId);
    const socket = await this.#directory.connect(peerId);
    if (!socket || this.#state !== 'open') {
      this.#dialing.delete(peerId);
      socket?.destroy();
      return false;
    }
    const isKnock = peerId < this.peerId;
    const link = this.#link(socket, () => this.#dialing.delete(peerId));
    link.greet(isKnock ? [] : this.#subscribers.patterns(), isKnock);
    return true;
  }

  #accept(socket: Socket): void {
    if (this.#state === 'open') this.#link(socket);
    else socket.destroy();
  }

  #link(socket: Socket, onSettled: () => void = () => {}): PeerLink {
    const link = new PeerLink({
      socket,
      ownPeerId: this.peerId,
      maxMessageBytes: this.maxMessageBytes,
      maxQueuedBytes: this.#options.maxQueuedBytes ?? 64 * 2 ** 20,
      onHello: (_link, peerId, hello) => {
        onSettled();
        this.#welcome(link, peerId, hello);
      },
      onMessage: (_link, message) => this.#receive(link, message),
      onEnd: () => {
        onSettled();
        this.#ended(link);
      },
    });
    this.#allLinks.add(link);
    return link;
  }

  #welcome(link: PeerLink, peerId: string, hello: Hello): void {
    if (hello.isKnock) {
      link.end('knocked');
      void this.#dial(peerId);
      return;
    }
    // The peer noticed the end of an earlier connection before we did.
    const earlier = this.#links.get(peerId);
    if (earlier) {
      earlier.end('replaced');
      this.#ended(earlier);
    }
    link.greet(this.#subscribers.patterns());
    this.#links.set(peerId, link);
    for (const check of this.#arrivalWaiters) check();
  }

  #ended(link: PeerLink): void {
    this.#allLinks.delete(link);
    if (this.#links.get(link.peerId) !== link) return;
    this.#links.delete(link.peerId);
    this.#pending.peerGone(link.peerId);
    if (this.#state === 'open') for (const handler of this.#goneHandlers) handler(link.peerId);
  }

  #connectedTo(peerIds: readonly string[], timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        this.#clock.clearTimeout(timer);
        this.#arrivalWaiters.delete(check);
        resolve();
      };
      const check = (): void => {
        if (peerIds.every((peerId) => this.#links.has(peerId))) finish();
      };
      const timer = this.#clock.setTimeout(finish, timeoutMs);
      this.#arrivalWaiters.add(check);
      check();
    });
  }

  #pollLater(): void {
    if (this.#state !== 'open') return;
    this.#pollTimer = this.#clock.setTimeout(() => {
      void this.#lookAround().then(() => this.#pollLater());
    }, this.#options.pollMs ?? 1000);
  }
}
