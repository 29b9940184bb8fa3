/**
 * The connection to one other process. It is *open* once both sides have said hello, and ends once: by a close, a kill -9 on the other
 * side, bytes that cannot be read, or a peer that stopped reading.
 */
import type { Socket } from 'node:net';
import { PatternMap } from './subject-patterns.ts';
import {
  decodeHello,
  EMPTY,
  encodeHello,
  type Hello,
  WIRE_VERSION,
  WireError,
  WireKind,
  type WireMessage,
  WireReader,
  wireHeader,
} from './wire.ts';

export interface PeerLinkOptions {
  readonly socket: Socket;
  readonly ownPeerId: string;
  readonly maxMessageBytes: number;
  /** A peer with more than this unread is dropped: slow readers never cost memory without bound. */
  readonly maxQueuedBytes: number;
  readonly onHello: (link: PeerLink, peerId: string, hello: Hello) => void;
  readonly onMessage: (link: PeerLink, message: WireMessage) => void;
  readonly onEnd: (link: PeerLink, reason: string) => void;
}

export class PeerLink {
  /** Empty until the peer has said hello. */
  peerId = '';
  readonly #options: PeerLinkOptions;
  readonly #interest = new PatternMap<true>();
  #isGreeted = false;
  #endReason: string | null = null;

  constructor(options: PeerLinkOptions) {
    this.#options = options;
    const { socket } = options;
    const reader = new WireReader(options.maxMessageBytes + 0xffff);
    socket.on('data', (chunk: Buffer) => {
      if (this.#endReason !== null) return;
      try {
        reader.push(chunk, (message) => this.#receive(message));
      } catch (error) {
        if (!(error instanceof WireError)) throw error; // a handler's, and none of the peer's business
        this.end(error.message);
      }
    });
    socket.on('error', (error) => {
      this.#endReason ??= error.message;
    });
    socket.on('close', () => options.onEnd(this, this.#endReason ?? 'its process ended or left'));
  }

  /** Whether the peer subscribes to the subject, as far as it told us. */
  wants(subject: string): boolean {
    return this.#interest.has(subject);
  }

  greet(patterns: readonly string[], isKnock = false): void {
    if (this.#isGreeted) return;
    this.#isGreeted = true;
    this.send(WireKind.hello, 0, this.#options.ownPeerId, encodeHello({ wireVersion: WIRE_VERSION, patterns, isKnock }));
  }

  send(kind: number, requestId: number, subject: string, payload: Uint8Array = EMPTY): void {
    const { socket, maxQueuedBytes } = this.#options;
    if (this.#endReason !== null || !this.#isGreeted || !socket.writable) return;
    socket.cork();
    socket.write(wireHeader(kind, requestId, subject, payload.byteLength));
    if (payload.byteLength > 0) socket.write(payload);
    socket.uncork();
    if (socket.writableLength > maxQueuedBytes) this.end(`it left ${socket.writableLength} bytes unread`);
  }

  /** Ends the connection now; what waits is dropped. */
  end(reason: string): void {
    this.#endReason ??= reason;
    this.#options.socket.destroy();
  }

  /** Ends the connection after what waits was written; the peer does the same when it has read it. */
  endAfterFlush(): Promise<void> {
    const { socket } = this.#options;
    return new Promise((resolve) => {
      if (socket.destroyed) return resolve();
      socket.once('close', () => resolve());
      socket.end();
    });
  }

  #receive(message: WireMessage): void {
    if (this.#endReason !== null) return;
    if (message.kind === WireKind.hello) this.#receiveHello(message);
    else if (this.peerId === '') this.end('it sent something before its greeting');
    else if (message.kind === WireKind.subscribe) this.#interest.add(message.subject, true);
    else if (message.kind === WireKind.unsubscribe) this.#interest.remove(message.subject, true);
    else this.#options.onMessage(this, message);
  }

  #receiveHello(message: WireMessage): void {
    const hello = decodeHello(message.payload);
    this.peerId = message.subject;
    for (const pattern of hello.patterns) this.#interest.add(pattern, true);
    this.#options.onHello(this, this.peerId, hello);
  }
}
