/** A prompt's log-probabilities on their way to a client. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PromptTokenLogprob } from '../../src/core/generation.ts';
import { decodeFrame, encodeFrame } from '../../src/transport/codec.ts';
import { PROTOCOL_VERSION } from '../../src/transport/messages.ts';
import { ProtocolError } from '../../src/transport/protocol-error.ts';
import { Cluster, testTokenizer } from '../support/cluster.ts';
import { generateRequest } from '../support/generate.ts';

const tokenIds = Array.from({ length: 90 }, (_, i) => 5 + ((i * 7) % 90));
const request = () =>
  generateRequest({
    requestId: 'told',
    prompt: { type: 'tokens', tokenIds },
    n: 2,
    sampling: { maxTokens: 30, promptLogprobs: 2, temperature: 0.8 },
    seed: 3n,
    ignoreEos: true,
  });

/** What the first read of the deltas finds told, and all the ids in the end. */
async function ask(cluster: Cluster, kills: readonly number[]): Promise<{ told: readonly (PromptTokenLogprob | null)[]; ids: number[] }> {
  const knobs = { maxNumBatchedTokens: 16 };
  let engine = cluster.startEngine('engine-0', { knobs });
  const { frontend } = cluster.startFrontend();
  await cluster.clock.until(() => frontend.readiness().state === 'ready');
  const running = (async () => {
    const generation = await frontend.generate(request(), new AbortController().signal);
    let told: readonly (PromptTokenLogprob | null)[] | null = null;
    const ids: number[] = [];
    for await (const deltas of generation.deltas) {
      told ??= generation.promptLogprobs();
      assert.equal(generation.promptLogprobs(), told, 'made once, for all choices');
      for (const delta of deltas) ids.push(...delta.tokenIds.map((id) => delta.choice * 10_000 + id));
    }
    return { told: told!, ids: ids.toSorted((a, b) => a - b) };
  })();
  for (const afterMs of kills) {
    await cluster.clock.advance(afterMs);
    await cluster.kill(engine);
    engine = cluster.startEngine('engine-0', { knobs });
  }
  return cluster.clock.untilSettled(running);
}

test('all of them are there with the first delta, the first token has none', async () => {
  const { told } = await ask(new Cluster(), []);
  assert.equal(told.length, tokenIds.length);
  assert.equal(told[0], null);
  for (const [i, entry] of told.entries()) {
    if (entry === null) continue;
    assert.equal(entry.tokenId, tokenIds[i]);
    assert.equal(entry.token, testTokenizer().tokenText(entry.tokenId));
    assert.ok(entry.logprob <= 0 && entry.rank >= 1);
    assert.deepEqual(
      entry.top.map((other) => other.rank),
      [1, 2],
    );
    assert.ok(entry.top[0]!.logprob >= entry.top[1]!.logprob);
  }
});

for (const [when, kills] of [
  ['in the middle of the prompt', [35]],
  ['after the first tokens', [150]],
  ['in both', [35, 150]],
] as const) {
  test(`an engine's death ${when} changes nothing about them`, async () => {
    assert.deepEqual(await ask(new Cluster(), kills), await ask(new Cluster(), []));
  });
}

test('a frame whose parts do not fit each other is refused', () => {
  const frame = (numRanks: number) =>
    encodeFrame([
      PROTOCOL_VERSION,
      'engine',
      [1, 1],
      [1, 1],
      1,
      1,
      [[1, 1, 0, 0, [], null, null, 0, null, [1, new Uint32Array(numRanks), new Float32Array(1), new Uint32Array(2), new Float32Array(2)]]],
    ]);
  assert.equal(decodeFrame(frame(1))[6][0]![9]![0], 1);
  assert.throws(() => decodeFrame(frame(2)), ProtocolError);
});
