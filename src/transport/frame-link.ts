/**
 * A connection between two processes of one engine group, for steps and collectives: frames in order, each whole, until it closes. Kept
 * apart from the Transport because a step needs dozens of round trips. TCP here; transport-frame-link.ts sends frames as messages.
 *
 *   length of what follows (4 bytes, little-endian) · kind (1 byte) · body
 */
import { connect, createServer, type Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { BEAT, BEAT_MS, type FrameHandler, FrameInbox, SILENCE_MS } from './frame-inbox.ts';

export interface FrameLink {
  /** For people: who is at the other end. */
  readonly peer: string;
  /** `parts` are the body, one behind the other; they must not change until the other end has answered. */
  send(kind: number, ...parts: readonly Uint8Array[]): void;
  /** `body` is valid until the handler returns. While there is no handler (null), frames are kept for the next one. */
  onFrame(handler: FrameHandler | null): void;
  /** Called once, also when this end closed it, or when it is closed already. */
  onClosed(handler: (reason: string) => void): void;
  close(reason?: string): void;
}

export interface FrameServer {
  readonly port: number;
  close(): void;
}

/** No frame is longer: what claims to be is no peer of ours. */
const MAX_FRAME_BYTES = 256 * 2 ** 20;

/** @throws Error of the socket: the address is taken, or not this machine's. */
export function listenForFrames(host: string, port: number, clock: Clock, onLink: (link: FrameLink) => void): Promise<FrameServer> {
  return new Promise((resolve, reject) => {
    const server = createServer({ noDelay: true }, (socket) => onLink(tcpLink(socket, clock)));
    server.once('error', reject);
    server.listen(port, host, () => {
      const address = server.address();
      resolve({ port: typeof address === 'object' && address !== null ? address.port : port, close: () => void server.close() });
    });
  });
}

/** @throws Error of the socket. */
export function connectForFrames(host: string, port: number, clock: Clock): Promise<FrameLink> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(tcpLink(socket, clock));
    });
  });
}

function tcpLink(socket: Socket, clock: Clock): FrameLink {
  const reader = new FrameReader();
  let closedBecause: string | null = null;
  let isGone = false;
  const inbox = new FrameInbox();
  const closedHandlers: ((reason: string) => void)[] = [];
  let heardMs = clock.monotonic();
  let timer: unknown;

  const close = (reason = 'closed by this process'): void => {
    closedBecause ??= reason;
    clock.clearTimeout(timer);
    socket.destroySoon(); // what was sent last arrives: it may say why
  };
  const send = (kind: number, ...parts: readonly Uint8Array[]): void => {
    if (closedBecause !== null) return;
    const head = Buffer.allocUnsafe(5);
    head.writeUInt32LE(1 + parts.reduce((sum, part) => sum + part.byteLength, 0), 0);
    head[4] = kind;
    socket.cork();
    socket.write(head);
    for (const part of parts) socket.write(part);
    socket.uncork();
  };
  const beat = (): void => {
    if (clock.monotonic() - heardMs > SILENCE_MS) {
      close(`silent for ${SILENCE_MS} ms`);
      socket.destroy();
      return;
    }
    send(BEAT);
    timer = clock.setTimeout(beat, BEAT_MS);
  };
  const receive: FrameHandler = (kind, body) => inbox.receive(kind, body);
  socket.on('data', (chunk) => {
    heardMs = clock.monotonic();
    if (!reader.push(chunk, receive)) close('sent something that is no frame');
  });
  socket.on('error', (error) => close(error.message));
  socket.on('close', () => {
    clock.clearTimeout(timer);
    isGone = true;
    closedBecause ??= 'the connection was closed by the other end';
    for (const told of closedHandlers) told(closedBecause);
  });
  beat();
  return {
    peer: `${socket.remoteAddress}:${socket.remotePort}`,
    send,
    onFrame: (handler) => inbox.setHandler(handler),
    onClosed(told) {
      if (isGone) told(closedBecause ?? 'closed');
      else closedHandlers.push(told);
    },
    close,
  };
}

/** Puts chunks of a stream together to frames, in one buffer that grows to the longest. */
export class FrameReader {
  #buffer = Buffer.allocUnsafeSlow(1 << 16);
  #begin = 0;
  #end = 0;

  /** @returns false when this is no stream of frames. */
  push(chunk: Uint8Array, receive: FrameHandler): boolean {
    this.#append(chunk);
    while (this.#end - this.#begin >= 4) {
      const length = this.#buffer.readUInt32LE(this.#begin);
      if (length < 1 || length > MAX_FRAME_BYTES) return false;
      const frameEnd = this.#begin + 4 + length;
      if (this.#end < frameEnd) break;
      const kind = this.#buffer[this.#begin + 4]!;
      const body = this.#buffer.subarray(this.#begin + 5, frameEnd);
      this.#begin = frameEnd;
      receive(kind, body);
    }
    return true;
  }

  #append(chunk: Uint8Array): void {
    if (this.#begin === this.#end) {
      this.#begin = 0;
      this.#end = 0;
    }
    if (this.#end + chunk.length > this.#buffer.length) {
      const held = this.#end - this.#begin;
      const needed = held + chunk.length;
      const target = needed > this.#buffer.length ? Buffer.allocUnsafeSlow(2 * needed) : this.#buffer;
      this.#buffer.copy(target, 0, this.#begin, this.#end);
      this.#buffer = target;
      this.#begin = 0;
      this.#end = held;
    }
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }
}
