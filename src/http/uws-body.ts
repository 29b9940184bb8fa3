/** Request bodies: copied chunk by chunk, since uWebSockets.js takes each back, and never kept beyond the limit. */
import type { HttpResponse } from 'uWebSockets.js';
import type { HttpRequest } from './http-message.ts';

/** How much of a body that is too long is read and thrown away, so that its client reads the 413 instead of a reset connection. */
const MAX_DISCARDED_BYTES = 256 * 2 ** 20;

/**
 * Calls `done` once, with the whole body, or with null as soon as it cannot be taken. Not called when the client leaves before.
 * A plain callback, because the response must be registered for its data before the uWebSockets.js callback returns.
 */
export function readBody(
  response: HttpResponse,
  head: Pick<HttpRequest, 'headers' | 'signal'>,
  maxBytes: number,
  done: (body: Uint8Array | null) => void,
): void {
  const declared = Number(head.headers['content-length'] ?? 0);
  const chunks: Uint8Array[] = [];
  let numBytes = 0;
  let isDone = false;
  const finish = (body: Uint8Array | null) => {
    isDone = true;
    done(body);
  };
  if (declared > maxBytes + MAX_DISCARDED_BYTES) finish(null);
  response.onData((chunk, isLast) => {
    if (isDone) return;
    numBytes += chunk.byteLength;
    if (numBytes <= maxBytes) chunks.push(new Uint8Array(chunk.slice(0)));
    else chunks.length = 0;
    if (isLast) finish(numBytes <= maxBytes ? join(chunks, numBytes) : null);
    else if (numBytes > maxBytes + MAX_DISCARDED_BYTES) finish(null);
  });
}

function join(chunks: readonly Uint8Array[], numBytes: number): Uint8Array {
  const [only] = chunks;
  if (chunks.length === 1 && only) return only;
  return Buffer.concat(chunks, numBytes);
}
