/** Requests to a server on a Unix socket of this machine. */
import { request } from 'node:http';
import type { BatchReply, BatchRequest } from './batch-line.ts';

/** Refusals that pass: a full queue, an engine that comes back. */
const NUM_TRIES = 10;

/** @throws when the server is gone. */
export async function sendToSocket(socketPath: string, { path, body }: BatchRequest): Promise<BatchReply> {
  for (let tries = 1; ; tries++) {
    const { retryAfterMs, ...reply } = await call(socketPath, 'POST', path, JSON.stringify(body));
    if (retryAfterMs === null || tries === NUM_TRIES) return reply;
    await new Promise((resolve) => setTimeout(resolve, retryAfterMs));
  }
}

/** HTTP status of a GET; 0 when nobody listens. */
export function statusOfSocket(socketPath: string, path: string): Promise<number> {
  return call(socketPath, 'GET', path, '').then(
    ({ status }) => status,
    () => 0,
  );
}

function call(
  socketPath: string,
  method: string,
  path: string,
  body: string,
): Promise<BatchReply & { readonly retryAfterMs: number | null }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    // A connection of its own: nothing to gain from keeping one, and none that the server has just closed.
    const outgoing = request({ socketPath, method, path, headers, agent: false }, (incoming) => {
      let text = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (piece: string) => (text += piece));
      incoming.on('error', reject);
      incoming.on('end', () => {
        const { statusCode = 0, headers: given } = incoming;
        const retryAfter = Number(given['retry-after']);
        const isPassing = (statusCode === 429 || statusCode === 503) && retryAfter > 0;
        resolve({
          status: statusCode,
          requestId: typeof given['x-request-id'] === 'string' ? given['x-request-id'] : null,
          body: parsed(text),
          retryAfterMs: isPassing ? retryAfter * 1000 : null,
        });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
