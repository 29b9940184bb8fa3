/** The API on a real socket, closed with the test. */
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { type HttpServer, type ListenOptions, serveHttp } from '../../src/http/uws-server.ts';
import { type TestApi, type TestApiOptions, testApi } from './api-client.ts';

export interface TestServer extends TestApi {
  readonly server: HttpServer;
  readonly url: string;
}

export async function startHttpServer(
  t: TestContext,
  options: TestApiOptions = {},
  listen: Partial<ListenOptions> = {},
): Promise<TestServer> {
  const parts = testApi(options);
  const server = await serveHttp(parts.api, { host: '127.0.0.1', port: 0, exclusive: true, ...listen });
  t.after(() => server.closeNow());
  return { ...parts, server, url: `${listen.tls ? 'https' : 'http'}://127.0.0.1:${server.port}` };
}

/** A connection without a client library. */
export class RawConnection {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  received = '';
  #onData: () => void = () => {};

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.setEncoding('utf8');
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve()));
    this.socket.on('error', () => {});
    this.socket.on('data', (data: string) => {
      this.received += data;
      this.#onData();
    });
    void this.closed.then(() => this.#onData());
  }

  post(path: string, body: unknown): void {
    const json = JSON.stringify(body);
    this.socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${Buffer.byteLength(json)}\r\n\r\n${json}`);
  }

  /** Resolves when what was received satisfies the test. @throws when the connection closes before. */
  async until(test: (received: string) => boolean): Promise<string> {
    while (!test(this.received)) {
      if (this.socket.destroyed) throw new Error(`closed after: ${this.received.slice(-500)}`);
      await new Promise<void>((resolve) => (this.#onData = resolve));
    }
    return this.received;
  }
}

/** Resolves when the signal fires. */
export function aborted(signal: AbortSignal): Promise<void> {
  return signal.aborted ? Promise.resolve() : new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/** Lets the event loop turn until the claim holds. */
export async function until(claim: () => boolean): Promise<void> {
  while (!claim()) await new Promise((resolve) => setImmediate(resolve));
}

/** Lets the event loop turn until the value has not changed for many turns. */
export async function settled(read: () => number): Promise<number> {
  let last = read();
  for (let numSame = 0; numSame < 500; numSame++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (read() !== last) numSame = 0;
    last = read();
  }
  return last;
}
