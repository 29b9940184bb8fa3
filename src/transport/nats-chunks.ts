/**
 * Messages longer than a broker takes at once travel as chunks. A chunk has the header `Troupe-Chunk`, everything else is a whole message
 * as it is.
 *
 *   Troupe-Chunk: SENDER NUMBER INDEX COUNT BYTES     SENDER is one connection, NUMBER counts its long messages, BYTES is the whole length
 *
 * A sender publishes all chunks of a message in one go, so they arrive in order with nothing of the same connection between them: one
 * unfinished message per sender is enough to remember, and a chunk that does not follow the last one ends it. The message is then lost.
 */
import { headers, type Msg, type MsgHdrs } from '@nats-io/transport-node';
import type { Clock } from '../core/clock.ts';

/** Longer messages are cut. Above it a broker's latency grows faster than the length: 0.6 ms at 64 KB, 3 ms at 256 KB, 11 ms at 1 MB. */
export const MAX_CHUNK_BYTES = 256 * 1024;
/** What a header may take of the broker's `max_payload`. */
const HEADER_BYTES = 512;
const CHUNK = 'Troupe-Chunk';
/** A message whose next chunk is this late is lost: its sender published all at once. */
const STALE_MS = 10_000;

export interface Piece {
  readonly data: Uint8Array;
  readonly headers?: MsgHdrs;
}

/** `maxPayload`: the broker's limit, headers included. */
export function cut(data: Uint8Array, maxPayload: number, sender: string, nextNumber: () => number): Piece[] {
  const chunkBytes = Math.max(1, Math.min(MAX_CHUNK_BYTES, maxPayload - HEADER_BYTES));
  if (data.byteLength <= chunkBytes) return [{ data }];
  const count = Math.ceil(data.byteLength / chunkBytes);
  const number = nextNumber();
  return Array.from({ length: count }, (_, index) => {
    const chunkHeaders = headers();
    chunkHeaders.set(CHUNK, `${sender} ${number} ${index} ${count} ${data.byteLength}`);
    return { data: data.subarray(index * chunkBytes, (index + 1) * chunkBytes), headers: chunkHeaders };
  });
}

interface Unfinished {
  readonly number: number;
  readonly count: number;
  readonly numBytes: number;
  readonly chunks: Uint8Array[];
  receivedBytes: number;
  lastAt: number;
}

/** All unfinished messages of a process together hold at most this many bytes; the oldest give way. */
export class ReassemblyBudget {
  readonly clock: Clock;
  readonly maxMessageBytes: number;
  readonly maxBytes: number;
  /** Long messages of which a part never came, or for which there was no room. */
  numLost = 0;
  readonly #unfinished = new Map<Unfinished, () => void>();
  #numBytes = 0;
  #timer: unknown = null;

  constructor(clock: Clock, maxMessageBytes: number) {
    this.clock = clock;
    this.maxMessageBytes = maxMessageBytes;
    this.maxBytes = 4 * maxMessageBytes;
  }

  get numBytes(): number {
    return this.#numBytes;
  }

  /** A message has begun; `forget` is called when it must go. */
  add(message: Unfinished, forget: () => void): void {
    this.#unfinished.set(message, forget);
    if (this.#timer === null) this.#watch();
  }

  grew(message: Unfinished, bytes: number): void {
    this.#numBytes += bytes;
    for (const oldest of this.#unfinished.keys()) {
      if (this.#numBytes <= this.maxBytes) return;
      if (oldest !== message) this.#lose(oldest);
    }
  }

  /** It is complete. */
  remove(message: Unfinished): void {
    if (this.#unfinished.delete(message)) this.#numBytes -= message.receivedBytes;
  }

  lose(message: Unfinished): void {
    if (this.#unfinished.has(message)) this.#lose(message);
  }

  close(): void {
    this.clock.clearTimeout(this.#timer);
    this.#timer = null;
    for (const message of this.#unfinished.keys()) this.#lose(message);
  }

  #lose(message: Unfinished): void {
    const forget = this.#unfinished.get(message);
    this.remove(message);
    this.numLost++;
    forget?.();
  }

  #watch(): void {
    this.#timer = this.clock.setTimeout(() => {
      this.#timer = null;
      const staleBefore = this.clock.monotonic() - STALE_MS;
      for (const message of this.#unfinished.keys()) if (message.lastAt <= staleBefore) this.#lose(message);
      if (this.#unfinished.size > 0) this.#watch();
    }, STALE_MS);
  }
}

/** Joins the chunks that one subscription receives. */
export class Reassembler {
  readonly #budget: ReassemblyBudget;
  readonly #bySender = new Map<string, Unfinished>();

  constructor(budget: ReassemblyBudget) {
    this.#budget = budget;
  }

  /** The whole message if this was one, or its last chunk; otherwise null. */
  take(message: Msg): Uint8Array | null {
    const header = message.headers?.get(CHUNK);
    if (!header) return message.data;
    const [sender = '', ...numbers] = header.split(' ');
    const [number = -1, index = -1, count = -1, numBytes = -1] = numbers.map(Number);
    if (!(number >= 0 && index >= 0 && index < count && numBytes >= 0 && numBytes <= this.#budget.maxMessageBytes)) return null;
    const unfinished = index === 0 ? this.#begin(sender, { number, count, numBytes }) : this.#bySender.get(sender);
    if (!unfinished) return null;
    const follows = unfinished.number === number && unfinished.chunks.length === index && unfinished.count === count;
    if (!follows || unfinished.receivedBytes + message.data.byteLength > unfinished.numBytes) {
      this.#budget.lose(unfinished);
      return null;
    }
    return this.#add(sender, unfinished, message.data);
  }

  #begin(sender: string, facts: Pick<Unfinished, 'number' | 'count' | 'numBytes'>): Unfinished {
    const earlier = this.#bySender.get(sender);
    if (earlier) this.#budget.lose(earlier);
    const unfinished = { ...facts, chunks: [], receivedBytes: 0, lastAt: 0 };
    this.#bySender.set(sender, unfinished);
    this.#budget.add(unfinished, () => {
      if (this.#bySender.get(sender) === unfinished) this.#bySender.delete(sender);
    });
    return unfinished;
  }

  #add(sender: string, unfinished: Unfinished, chunk: Uint8Array): Uint8Array | null {
    unfinished.chunks.push(chunk);
    unfinished.receivedBytes += chunk.byteLength;
    unfinished.lastAt = this.#budget.clock.monotonic();
    this.#budget.grew(unfinished, chunk.byteLength);
    if (unfinished.chunks.length < unfinished.count) return null;
    this.#budget.remove(unfinished);
    this.#bySender.delete(sender);
    if (unfinished.receivedBytes === unfinished.numBytes) return Buffer.concat(unfinished.chunks);
    this.#budget.numLost++;
    return null;
  }
}
