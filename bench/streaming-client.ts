/**
 * One streamed request against an OpenAI-compatible server, timed chunk by chunk. node:http rather than fetch: on a small machine the
 * client shares the cores with the server, and web streams cost several times as much per chunk.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { RequestRecord } from './request-metrics.ts';
import { SseParser } from './sse-parser.ts';

export type Endpoint = 'completions' | 'chat';

/** A stream that is silent for so long has failed. */
const SILENCE_LIMIT_MS = 600_000;
const agents = { 'http:': new HttpAgent({ keepAlive: true }), 'https:': new HttpsAgent({ keepAlive: true }) };

/** Sends `body` and reads the stream to its end. Never rejects: what went wrong stands in the record's `error`. */
export async function streamRequest(baseUrl: URL, endpoint: Endpoint, body: object, intendedMs: number): Promise<RequestRecord> {
  const path = endpoint === 'chat' ? '/v1/chat/completions' : '/v1/completions';
  const sentMs = performance.now();
  const stream = new StreamReader();
  let error: string | null = null;
  try {
    const response = await send(new URL(path, baseUrl), JSON.stringify(body));
    if (response.statusCode !== 200) throw new Error(`HTTP ${response.statusCode}: ${await readAll(response)}`);
    for await (const piece of response) stream.push(piece as Buffer, performance.now());
    error = stream.error ?? (stream.isDone ? null : 'The stream ended without [DONE].');
    if (error === null && stream.chunkMs.length === 0) error = 'The stream carried no text.';
  } catch (cause) {
    error = (cause as Error).message;
  }
  const { chunkMs, lastMs, usage } = stream;
  return {
    intendedMs,
    sentMs,
    chunkMs,
    lastMs,
    promptTokens: usage?.prompt_tokens ?? 0,
    outputTokens: usage?.completion_tokens ?? 0,
    cachedTokens: usage?.prompt_tokens_details?.cached_tokens ?? 0,
    error,
  };
}

/** GET of a small JSON document. @throws Error when the server does not answer 200. */
export async function getJson(url: URL): Promise<unknown> {
  const response = await send(url, null);
  const text = await readAll(response);
  if (response.statusCode !== 200) throw new Error(`GET ${url.href}: HTTP ${response.statusCode}: ${text}`);
  return JSON.parse(text);
}

/** The status alone, or null while nothing listens. */
export async function getStatus(url: URL): Promise<number | null> {
  try {
    const response = await send(url, null);
    await readAll(response);
    return response.statusCode ?? null;
  } catch {
    return null;
  }
}

interface UsageBlock {
  readonly prompt_tokens?: number;
  readonly completion_tokens?: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null;
}

interface Chunk {
  readonly error?: { readonly message?: string };
  readonly usage?: UsageBlock | null;
  readonly choices?: readonly {
    readonly text?: string;
    readonly delta?: { readonly content?: string | null; readonly reasoning_content?: string | null };
  }[];
}

/** Reads the chunks of both endpoints. */
export class StreamReader {
  /** Arrival of each chunk that carries text. */
  readonly chunkMs: number[] = [];
  /** Arrival of the last chunk with choices. */
  lastMs = 0;
  usage: UsageBlock | null = null;
  error: string | null = null;
  isDone = false;
  readonly #parser = new SseParser();

  push(piece: Uint8Array, timeMs: number): void {
    for (const data of this.#parser.push(piece)) {
      if (data === '[DONE]') this.isDone = true;
      else this.#chunk(JSON.parse(data) as Chunk, timeMs);
    }
  }

  #chunk(chunk: Chunk, timeMs: number): void {
    if (chunk.error !== undefined) this.error = chunk.error.message ?? 'The server sent an error without a message.';
    if (chunk.usage) this.usage = chunk.usage;
    const choice = chunk.choices?.[0];
    if (choice === undefined) return;
    this.lastMs = timeMs;
    if (choice.text || choice.delta?.content || choice.delta?.reasoning_content) this.chunkMs.push(timeMs);
  }
}

function send(url: URL, body: string | null): Promise<IncomingMessage> {
  const isSecure = url.protocol === 'https:';
  const options = {
    method: body === null ? 'GET' : 'POST',
    agent: agents[isSecure ? 'https:' : 'http:'],
    headers: body === null ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    timeout: SILENCE_LIMIT_MS,
  };
  return new Promise((resolve, reject) => {
    const request = isSecure ? httpsRequest(url, options, resolve) : httpRequest(url, options, resolve);
    request.on('timeout', () => request.destroy(new Error(`No data for ${SILENCE_LIMIT_MS / 1000} s.`)));
    request.on('error', reject);
    request.end(body ?? undefined);
  });
}

async function readAll(response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of response) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString('utf8');
}
