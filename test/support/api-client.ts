/** The API called in process, with a fake generator behind it. */
import { type Api, createApi, type EdgeOptions } from '../../src/http/api.ts';
import type { HttpReply } from '../../src/http/http-message.ts';
import type { Runner } from '../../src/http/services.ts';
import { systemClock } from '../../src/system-clock.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { createMetrics, type Metrics } from '../../src/telemetry/metrics.ts';
import { FakeGenerator, type FakeGeneratorOptions } from './fake-generator.ts';
import { characterTools, FakeOperations, FakePooler } from './fake-services.ts';

export interface TestApiOptions extends FakeGeneratorOptions {
  readonly maxBodyBytes?: number;
  readonly enableLogprob?: boolean;
  readonly maxLogprobs?: number;
  readonly guidedDecoding?: boolean;
  readonly edge?: EdgeOptions;
  readonly runner?: Runner;
  readonly pooler?: FakePooler;
  readonly scoreOf?: (hidden: Float32Array) => Float32Array;
}

export interface TestApi {
  readonly api: Api;
  readonly generator: FakeGenerator;
  readonly metrics: Metrics;
  readonly operations: FakeOperations;
  readonly pooler: FakePooler;
  /** Parsed log lines. */
  readonly logs: Record<string, unknown>[];
}

export function testApi(options: TestApiOptions = {}): TestApi {
  const generator = new FakeGenerator(options);
  const operations = new FakeOperations();
  const pooler = options.pooler ?? new FakePooler();
  const metrics = createMetrics({ processMetrics: false });
  const logs: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void logs.push(JSON.parse(line)) };
  const api = createApi({
    generator,
    textTools: characterTools,
    pooler,
    operations,
    ...(options.scoreOf && { scoreOf: options.scoreOf }),
    serverFacts: { config: { max_num_seqs: 4 } },
    metrics,
    logger: createLogger({ format: 'json', level: 'debug', role: 'test', destination }),
    limits: { maxBodyBytes: options.maxBodyBytes ?? 1 << 20 },
    clock: systemClock,
    features: {
      enableLogprob: options.enableLogprob ?? true,
      maxLogprobs: options.maxLogprobs ?? 20,
      guidedDecoding: options.guidedDecoding ?? true,
      ...(options.runner && { runner: options.runner }),
    },
    version: '1.2.3',
    ...(options.edge && { edge: options.edge }),
  });
  return { api, generator, operations, pooler, metrics, logs };
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into replies of several shapes
  readonly json: any;
}

export interface Call {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** An object is sent as JSON, a string as it is. */
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

/** One request, with its reply read to the end. */
export async function call(api: Api, path: string, options: Call = {}): Promise<Reply> {
  const reply = await callOpen(api, path, options);
  let text = '';
  if (typeof reply.body === 'string') text = reply.body;
  else for await (const piece of reply.body) text += piece;
  const isJson = reply.headers['content-type'] === 'application/json';
  return { status: reply.status, headers: reply.headers, text, json: isJson ? JSON.parse(text) : null };
}

/** One request, with the reply's stream still to be read. */
export function callOpen(api: Api, path: string, { method, headers = {}, body, signal }: Call = {}): Promise<HttpReply> {
  const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
  return api.handle({
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    path,
    headers,
    body: Buffer.from(text),
    signal: signal ?? new AbortController().signal,
  });
}

export const CHAT = '/v1/chat/completions';
export const COMPLETIONS = '/v1/completions';
export const HELLO = [{ role: 'user', content: 'Hello!' }];
