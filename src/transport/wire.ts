/**
 * What travels on a local connection, one layout for everything:
 *
 *   length u32 | kind u8 | requestId u32 | subjectLength u16 | subject | payload        (little-endian; length counts what follows it)
 *
 * A kind that the receiver does not know is skipped.
 */
export const WIRE_VERSION = 1;
const HEADER_BYTES = 11;

export const WireKind = {
  /** First on every connection, from both sides. Subject: peer id; payload: a Hello. */
  hello: 1,
  /** Subject: pattern. */
  subscribe: 2,
  unsubscribe: 3,
  publish: 4,
  request: 5,
  /** Answers `request` by its id. */
  reply: 6,
  noResponders: 7,
} as const;

export interface WireMessage {
  readonly kind: number;
  readonly requestId: number;
  readonly subject: string;
  readonly payload: Uint8Array;
}

/** What two processes tell each other first. */
export interface Hello {
  readonly wireVersion: number;
  /** Patterns that the sender subscribes to. */
  readonly patterns: readonly string[];
  /** "I am new here: please connect to me", see local-transport.ts. */
  readonly isKnock: boolean;
}

/** Bytes that are not this layout: the connection is of no use any more. */
export class WireError extends Error {
  override readonly name = 'WireError';
}

export const EMPTY = new Uint8Array(0);

/** Everything before the payload, which is written behind it without a copy. */
export function wireHeader(kind: number, requestId: number, subject: string, payloadBytes: number): Uint8Array {
  const subjectBytes = Buffer.byteLength(subject);
  const header = Buffer.allocUnsafe(HEADER_BYTES + subjectBytes);
  header.writeUInt32LE(HEADER_BYTES - 4 + subjectBytes + payloadBytes, 0);
  header.writeUInt8(kind, 4);
  header.writeUInt32LE(requestId, 5);
  header.writeUInt16LE(subjectBytes, 9);
  header.write(subject, HEADER_BYTES);
  return header;
}

export const encodeHello = (hello: Hello): Uint8Array => Buffer.from(JSON.stringify(hello));

/** @throws WireError */
export function decodeHello(payload: Uint8Array): Hello {
  let hello: Partial<Hello> | null;
  try {
    hello = JSON.parse(Buffer.from(payload).toString()) as Partial<Hello> | null;
  } catch (error) {
    throw new WireError('a local connection that does not begin with a greeting', { cause: error });
  }
  if (hello?.wireVersion !== WIRE_VERSION)
    throw new WireError(`local wire version ${hello?.wireVersion}, where this process speaks ${WIRE_VERSION}`);
  if (!Array.isArray(hello.patterns)) throw new WireError('a greeting without subscriptions');
  return { wireVersion: WIRE_VERSION, patterns: hello.patterns, isKnock: hello.isKnock === true };
}

/** Cuts a byte stream into messages. A message that lies within one chunk is handed on without a copy. */
export class WireReader {
  readonly #maxBytes: number;
  #chunks: Uint8Array[] = [];
  #numBytes = 0;
  /** Bytes that must be there before the next message is complete. */
  #needed = 4;

  /** `maxBytes`: longest payload and subject together; longer means that the stream is damaged. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @throws WireError: nothing more can be read from this stream. */
  push(chunk: Uint8Array, onMessage: (message: WireMessage) => void): void {
    this.#chunks.push(chunk);
    this.#numBytes += chunk.byteLength;
    if (this.#numBytes < this.#needed) return;
    // Joined once per message that spans chunks, not once per chunk: `#needed` is the whole message as soon as its length is known.
    const bytes = this.#chunks.length === 1 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength) : Buffer.concat(this.#chunks);
    let at = 0;
    this.#needed = 4;
    while (bytes.byteLength - at >= 4) {
      const length = bytes.readUInt32LE(at);
      if (length < HEADER_BYTES - 4 || length > this.#maxBytes + HEADER_BYTES) throw new WireError(`a local message of ${length} bytes`);
      this.#needed = 4 + length;
      if (bytes.byteLength - at < this.#needed) break;
      onMessage(readMessage(bytes, at, length));
      at += 4 + length;
      this.#needed = 4;
    }
    this.#chunks = at < bytes.byteLength ? [bytes.subarray(at)] : [];
    this.#numBytes = bytes.byteLength - at;
  }
}

function readMessage(bytes: Buffer, at: number, length: number): WireMessage {
  const subjectLength = bytes.readUInt16LE(at + 9);
  const payloadAt = at + HEADER_BYTES + subjectLength;
  if (payloadAt > at + 4 + length) throw new WireError('a local message shorter than its subject');
  return {
    kind: bytes.readUInt8(at + 4),
    requestId: bytes.readUInt32LE(at + 5),
    subject: bytes.toString('utf8', at + HEADER_BYTES, payloadAt),
    payload: bytes.subarray(payloadAt, at + 4 + length),
  };
}
