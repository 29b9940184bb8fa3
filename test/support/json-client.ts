/** Plain JSON over HTTP to a running server: whole replies, chunks, refusals. No client library between the test and the bytes. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { Server } from './server.ts';
import { parseChunks } from './sse-client.ts';

export const CHAT = '/v1/chat/completions';
export const TEXT = '/v1/completions';

export interface PlainReply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

export interface ApiError {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into replies of several shapes
type Json = any;

export class JsonClient {
  readonly server: Server;

  constructor(server: Server) {
    this.server = server;
  }

  async get(path: string): Promise<PlainReply> {
    return read(await fetch(this.server.url + path));
  }

  /** A text is sent as it is. */
  async post(path: string, body: object | string): Promise<PlainReply> {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    return read(await fetch(this.server.url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: text }));
  }

  /** The reply to what must be answered. */
  async ask(path: string, body: object | string): Promise<Json> {
    const { status, text } = await this.post(path, body);
    assert.equal(status, 200, text);
    return JSON.parse(text);
  }

  /** The chunks of what must be answered, up to `[DONE]`. */
  async stream(path: string, body: object): Promise<Json[]> {
    const { status, text } = await this.post(path, { ...body, stream: true });
    assert.equal(status, 200, text);
    return parseChunks(text);
  }

  /** The error object of what must be refused with `status`. */
  async refusal(path: string, body: object | string, status = 400): Promise<ApiError> {
    const reply = await this.post(path, body);
    assert.equal(reply.status, status, reply.text);
    return JSON.parse(reply.text).error;
  }
}

/** One server for the tests of a file. */
export function serverForFile(args: readonly string[] = []): JsonClient {
  const server = new Server(args);
  before(async () => {
    await server.ready();
  });
  after(async () => {
    server.kill();
    await server.exited;
  });
  return new JsonClient(server);
}

export const user = (content: unknown) => [{ role: 'user', content }];

async function read(reply: Response): Promise<PlainReply> {
  return { status: reply.status, headers: reply.headers, text: await reply.text() };
}
