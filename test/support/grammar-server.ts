/** troupe-mini with the grammar runtime, everything real but the transport: ended with the test. */
import type { TestContext } from 'node:test';
import type { Frontend } from '../../src/actors/frontend.ts';
import type { GrammarHost } from '../../src/actors/grammar-host.ts';
import type { GrammarHostOptions } from '../../src/actors/grammar-jobs.ts';
import type { GenerateRequest } from '../../src/core/generation.ts';
import type { SamplingParams } from '../../src/core/sampling-params.ts';
import { generate, generateRequest, type ReadChoice, type ReadResult } from './generate.ts';
import { startMiniServer } from './mini-server.ts';

export interface GrammarServer {
  readonly frontend: Frontend;
  readonly host: GrammarHost;
  /** The engine ends as if killed, and another takes its place. */
  restart(): Promise<void>;
}

export async function startGrammarServer(t: TestContext, options: Partial<GrammarHostOptions> = {}): Promise<GrammarServer> {
  const server = await startMiniServer(options);
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

/** A request whose engine gets this structural tag; 64 tokens, greedy, unless said otherwise. */
export function constrained(
  constraint: string | null,
  overrides: Omit<Partial<GenerateRequest>, 'sampling'> & { readonly params?: Partial<SamplingParams> } = {},
): GenerateRequest {
  const { params, ...rest } = overrides;
  const request = generateRequest({ sampling: { temperature: 0, maxTokens: 64, ...params }, ...rest });
  // Fields of the sampling go to the engine as they are: a tag that the frontend did not make.
  return { ...request, sampling: { ...request.sampling, ...(constraint !== null && { constraint }) } as GenerateRequest['sampling'] };
}

/** Its only choice. */
export async function textOf(server: GrammarServer, request: GenerateRequest): Promise<ReadChoice> {
  return (await generate(server.frontend, request)).choices[0]!;
}

export type { ReadResult };
