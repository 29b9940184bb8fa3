/** A reply whose body is there: small ones leave in one packet, large ones as fast as the client takes them. */
import type { HttpResponse } from 'uWebSockets.js';
import type { HttpReply, HttpRequest } from './http-message.ts';
import { writeHead } from './uws-head.ts';

/** Above this, the reply is handed to the socket in parts, so that it is known when the last one was taken. */
const LARGE_BYTES = 64 * 1024;

/**
 * Resolves when the socket has taken the whole reply, or the client is gone.
 * @param closes whether the connection ends with this reply.
 */
export async function sendWhole(
  response: HttpResponse,
  { method, signal }: HttpRequest,
  reply: HttpReply & { readonly body: string },
  closes: boolean,
): Promise<void> {
  const { status, body } = reply;
  if (method === 'HEAD' || status === 204) {
    response.cork(() => {
      writeHead(response, reply, closes);
      // A length of our own: with one given to `endWithoutBody`, the response would wait for that many bytes.
      if (status !== 204) response.writeHeader('content-length', String(Buffer.byteLength(body)));
      response.endWithoutBody();
    });
  } else if (body.length <= LARGE_BYTES) {
    response.cork(() => {
      writeHead(response, reply, false);
      // Says `Connection: close` itself.
      response.end(body, closes);
    });
  } else await sendInParts(response, signal, Buffer.from(body), () => writeHead(response, reply, closes));
}

function sendInParts(response: HttpResponse, signal: AbortSignal, bytes: Uint8Array, head: () => void): Promise<void> {
  return new Promise((resolve) => {
    const send = (offset: number): boolean => {
      const [isTaken, isDone] = response.tryEnd(bytes.subarray(offset), bytes.byteLength);
      if (isDone) resolve();
      return isTaken;
    };
    response.onWritable(send);
    signal.addEventListener('abort', () => resolve(), { once: true });
    response.cork(() => {
      head();
      send(0);
    });
  });
}
