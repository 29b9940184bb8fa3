/** troupe-mini with the grammar runtime, everything real but the transport: ended with the test. */
import type { TestContext } from 'node:test';
import type { Frontend } from '../../src/actors/frontend.ts';
import type { GrammarHost } from '../../src/actors/grammar-host.ts';
import type { GrammarHostOptions } from '../../src/actors/grammar-jobs.ts';
import type { GenerateRequest } from '../../src/core/generation.ts';
import type { SamplingParams } from '../../src/core/sampling-params.ts';
import { decodeToEngine, encode } from '../../src/transport/codec.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { generate, generateRequest, type ReadChoice } from './generate.ts';
import { startMiniServer } from './mini-server.ts';

export interface GrammarServer {
  readonly frontend: Frontend;
  readonly host: GrammarHost;
  /** The engine ends as if killed, and another takes its place. */
  restart(): Promise<void>;
}

export async function startGrammarServer(t: TestContext, options: Partial<GrammarHostOptions> = {}): Promise<GrammarServer> {
  const server = await startMiniServer(options, withTags);
  t.after(() => server.close());
  let group = server.startGroup(1);
  await group.ready;
  let incarnation = 1;
  return {
    frontend: server.frontend,
    get host() {
      return server.grammarHosts.at(-1)!;
    },
    restart: async () => {
      server.ranks.at(-1)!.terminate();
      await group.ended;
      group = server.startGroup(++incarnation);
      await group.ready;
    },
  };
}

/** By request id: what the engine gets as `params.constraint`, whatever the frontend would make of a request. */
const tags = new Map<string, string>();

function withTags(transport: Transport): Transport {
  const request: Transport['request'] = (subject, data, timeoutMs) => {
    const message = decodeToEngine(data);
    const constraint = message.type === 'addRequest' ? tags.get(message.requestId) : undefined;
    if (message.type !== 'addRequest' || constraint === undefined) return transport.request(subject, data, timeoutMs);
    return transport.request(subject, encode({ ...message, params: { ...message.params, constraint } }), timeoutMs);
  };
  return new Proxy(transport, {
    get: (target, name) => {
      if (name === 'request') return request;
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** A request whose engine gets this structural tag; 64 tokens, greedy, unless said otherwise. */
export function constrained(
  constraint: string | null,
  overrides: Omit<Partial<GenerateRequest>, 'sampling'> & { readonly params?: Partial<SamplingParams> } = {},
): GenerateRequest {
  const { params, ...rest } = overrides;
  const request = generateRequest({ sampling: { temperature: 0, maxTokens: 64, ...params }, ...rest });
  if (constraint !== null) tags.set(request.requestId, constraint);
  return request;
}

/** Its only choice. */
export async function textOf(server: GrammarServer, request: GenerateRequest): Promise<ReadChoice> {
  return (await generate(server.frontend, request)).choices[0]!;
}
