/** Pooling requests and the text tools of a frontend. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TroupeError } from '../../src/core/errors.ts';
import type { Prompt } from '../../src/core/generation.ts';
import type { PoolingRequest } from '../../src/core/pooling.ts';
import { Cluster, testTokenizer } from '../support/cluster.ts';
import { ScriptedRunner } from '../support/scripted-runner.ts';

const hiddenOf = (ids: readonly number[]): Float32Array => new ScriptedRunner().hiddenOf(ids);
const ids = (length: number): number[] => Array.from({ length }, (_, i) => 5 + (i % 90));
const request = (tokenIds: readonly number[], over: Partial<PoolingRequest> = {}): PoolingRequest => ({
  requestId: 'embd-1',
  prompt: { type: 'tokens', tokenIds },
  priority: 0,
  ...over,
});
const never = new AbortController().signal;

async function server(options: ConstructorParameters<typeof Cluster>[0] = {}) {
  const cluster = new Cluster(options);
  const engine = cluster.startEngine();
  const { frontend, observations } = cluster.startFrontend();
  await cluster.clock.until(() => frontend.readiness().state === 'ready');
  return { cluster, clock: cluster.clock, engine, frontend, observations };
}

test("an input comes back as its last token's hidden state, with its counts", async () => {
  const { clock, frontend, observations } = await server();
  const pooled = await clock.untilSettled(frontend.pool(request(ids(23)), never));
  assert.deepEqual(pooled, { hidden: hiddenOf(ids(23)), numPromptTokens: 23, numCachedTokens: 0 });
  assert.deepEqual([observations.length, observations[0]!.finishReason, observations[0]!.completionTokens], [1, 'stop', 0]);
  const again = await clock.untilSettled(frontend.pool(request(ids(23), { requestId: 'embd-2' }), never));
  assert.equal(again.numCachedTokens, 20);
});

test('an input whose engine dies is computed again by the next', async () => {
  const { cluster, clock, engine, frontend } = await server({ engine: { maxNumBatchedTokens: 4 } });
  const pooling = frontend.pool(request(ids(100)), never);
  await clock.advance(100);
  assert.ok(engine.rank.engine.stats().numRunning === 1);
  await cluster.kill(engine);
  cluster.startEngine();
  assert.deepEqual((await clock.untilSettled(pooling)).hidden, hiddenOf(ids(100)));
});

test('an input may fill the model; a longer one is refused or cut from its beginning', async () => {
  const { clock, frontend } = await server({ maxModelLen: 64 });
  const long = ids(80);
  assert.deepEqual((await clock.untilSettled(frontend.pool(request(long.slice(0, 64)), never))).hidden, hiddenOf(long.slice(0, 64)));
  await assert.rejects(
    clock.untilSettled(frontend.pool(request(long.slice(0, 65)), never)),
    (error) =>
      error instanceof TroupeError && error.code === 'context_length_exceeded' && error.message.includes('maximum context length is 64 '),
  );
  for (const [truncatePromptTokens, kept] of [
    [-1, long.slice(-64)],
    [7, long.slice(-7)],
    [64, long.slice(-64)],
  ] as const) {
    const pooled = await clock.untilSettled(frontend.pool(request(long, { truncatePromptTokens }), never));
    assert.deepEqual([pooled.hidden, pooled.numPromptTokens], [hiddenOf(kept), kept.length], `truncated to ${truncatePromptTokens}`);
  }
});

test('an input that an operator ends fails as cancelled, one whose client left with the reason of its signal', async () => {
  const { clock, engine, frontend } = await server({ engine: { maxNumBatchedTokens: 4 } });
  const cancelled = frontend.pool(request(ids(200), { requestId: 'embd-a' }), never);
  cancelled.catch(() => {});
  await clock.advance(100);
  assert.deepEqual((await clock.untilSettled(frontend.abortRequests(['a']))).aborted, ['embd-a']);
  await assert.rejects(cancelled, (error) => error instanceof TroupeError && error.code === 'cancelled');
  const client = new AbortController();
  const left = frontend.pool(request(ids(200)), client.signal);
  left.catch(() => {});
  await clock.advance(100);
  client.abort();
  await assert.rejects(clock.untilSettled(left), { name: 'AbortError' });
  await clock.advance(50);
  assert.equal(engine.rank.engine.stats().numUsedBlocks, 0);
});

test('a prompt is tokenized as a generation gets it, also one that is longer than the model takes', async () => {
  const { frontend } = await server({ maxModelLen: 64 });
  const { textTools } = frontend;
  const text = 'The quick brown fox. '.repeat(40);
  const prompt: Prompt = { type: 'text', text, addSpecialTokens: false };
  const tokens = await textTools.tokenize(prompt, never);
  assert.ok(tokens.length > 64);
  assert.deepEqual(tokens, testTokenizer().encode(text));
  assert.equal(textTools.detokenize(tokens), text);
  assert.equal(textTools.tokenNames(tokens).length, tokens.length);
});

test('unknown ids and endless texts are refused by name', async () => {
  const { frontend } = await server();
  const { textTools } = frontend;
  assert.throws(() => textTools.detokenize([5, 999_999]), /Token id 999999 is not in the vocabulary/);
  await assert.rejects(textTools.tokenize({ type: 'text', text: 'x'.repeat(2 ** 20 + 1) }, never), /1048577 characters; at most 1048576/);
  await assert.rejects(
    textTools.tokenize({ type: 'chat', messages: [], addGenerationPrompt: true, continueFinalMessage: false, templateKwargs: {} }, never),
    /no chat template/,
  );
});
