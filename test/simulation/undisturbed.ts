/** What each request's choices say when nothing goes wrong: one engine, one frontend, no network. */
import type { GenerateRequest } from '../../src/core/generation.ts';
import { Cluster } from '../support/cluster.ts';
import { generate } from '../support/generate.ts';
import type { SaidChoice } from './client.ts';
import { MAX_MODEL_LEN, SCRIPT } from './engine-role.ts';

/** One entry per request, with its choices in order. */
export async function undisturbed(requests: readonly GenerateRequest[]): Promise<SaidChoice[][]> {
  const engine = { maxNumSeqs: 64, maxNumBatchedTokens: 4096, numBlocks: 8192, script: SCRIPT };
  const cluster = new Cluster({ engine, maxModelLen: MAX_MODEL_LEN });
  cluster.startEngine();
  const { frontend } = cluster.startFrontend();
  await cluster.clock.until(() => frontend.readiness().state === 'ready');
  const patient = requests.map(({ timeoutMs: _, ...request }) => generate(frontend, request));
  const results = await cluster.clock.untilSettled(Promise.all(patient));
  return results.map(({ choices }) =>
    choices.map(({ text, ids, logprobs, finish }) => ({
      text,
      ids,
      logprobs: logprobs.flatMap(({ logprob, top }) => [logprob, ...top.map((other) => other.logprob)]),
      finish,
    })),
  );
}
