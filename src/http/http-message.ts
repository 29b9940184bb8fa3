/** What handlers see of HTTP. The socket behind it is uws-server.ts's business, so every endpoint can be called in process. */

export interface HttpRequest {
  /** Upper case. */
  readonly method: string;
  /** Without the query string. */
  readonly path: string;
  /** What stood behind the `?`; absent = nothing. */
  readonly query?: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Empty when the request has none; null when it is longer than the server takes. */
  readonly body: Uint8Array | null;
  /** Fires when the client is gone before its reply was complete. */
  readonly signal: AbortSignal;
}

export interface HttpReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /**
   * A stream is pulled: the next piece is asked for when the socket took the one before, so a slow client slows its source down.
   * Each piece becomes one write. Leaving the iteration early means that the client is gone.
   */
  readonly body: string | AsyncIterable<string>;
}

/** @param value serialised as JSON, with the media type. */
export function jsonReply(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): HttpReply {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(value) };
}

export function textReply(status: number, text: string, contentType = 'text/plain; charset=utf-8'): HttpReply {
  return { status, headers: { 'content-type': contentType }, body: text };
}

/** Server-sent events: never cached, never held back by a proxy. */
export function eventStreamReply(events: AsyncIterable<string>): HttpReply {
  return {
    status: 200,
    headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache', 'x-accel-buffering': 'no' },
    body: events,
  };
}
