/** What a model says about its prompt: each position computed once, told in parts, whatever the scheduler does. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { Engine } from '../../src/engine/engine.ts';
import type { EngineRequest, PromptLogprobs, SequenceOutput } from '../../src/engine/request.ts';
import { choices, makeEngine, makeRequest, run, runToEnd, Texts } from '../support/engine-factory.ts';
import { ORACLES, readGolden } from '../support/oracles.ts';
import { createTestRunner } from '../support/runner-driver.ts';
import { ScriptedRunner } from '../support/scripted-runner.ts';

const PROMPT = Array.from({ length: 23 }, (_, i) => (i * 7 + 3) % 32);

const logSoftmax = (logits: ArrayLike<number>): number[] => {
  const values = Array.from(logits);
  const best = Math.max(...values);
  const logTotal = Math.log(values.reduce((sum, value) => sum + Math.exp(value - best), 0));
  return values.map((value) => value - best - logTotal);
};

/** The parts joined; asserts that they follow each other and come before the first token. */
function joined(outputs: readonly SequenceOutput[]): { ranks: number[]; logprobs: number[]; topIds: number[]; topLogprobs: number[] } {
  const all = { ranks: [] as number[], logprobs: [] as number[], topIds: [] as number[], topLogprobs: [] as number[] };
  let hasTokens = false;
  for (const { promptLogprobs: part, ids } of outputs) {
    if (part) {
      assert.equal(hasTokens, false, 'all parts come before the first token');
      assert.equal(part.firstIndex, 1 + all.ranks.length, 'parts follow each other');
      for (const field of ['ranks', 'logprobs', 'topIds', 'topLogprobs'] as const satisfies (keyof PromptLogprobs)[])
        all[field].push(...part[field]);
    }
    hasTokens ||= ids.length > 0;
  }
  return all;
}

/** Asserts values, ranks and alternatives against the logits of each position. */
function assertTold(
  outputs: readonly SequenceOutput[],
  prompt: readonly number[],
  numTop: number,
  rowOf: (position: number) => ArrayLike<number>,
) {
  const told = joined(outputs);
  assert.equal(told.ranks.length, prompt.length - 1);
  for (let position = 0; position < prompt.length - 1; position++) {
    const expected = logSoftmax(rowOf(position));
    const value = expected[prompt[position + 1]!]!;
    assert.ok(Math.abs(told.logprobs[position]! - value) < 2e-4, `position ${position}: ${told.logprobs[position]} instead of ${value}`);
    const numBetter = expected.filter((other) => other > value + 4e-4).length;
    const numNotWorse = expected.filter((other) => other >= value - 4e-4).length;
    assert.ok(told.ranks[position]! > numBetter && told.ranks[position]! <= numNotWorse, `rank at position ${position}`);
    const best = expected.toSorted((a, b) => b - a).slice(0, numTop);
    for (const [i, logprob] of best.entries()) assert.ok(Math.abs(told.topLogprobs[position * numTop + i]! - logprob) < 2e-4);
    for (let i = 0; i < numTop; i++)
      assert.ok(Math.abs(expected[told.topIds[position * numTop + i]!]! - told.topLogprobs[position * numTop + i]!) < 2e-4);
  }
}

const scriptedRow = (position: number): Float32Array => new ScriptedRunner().logitsAfter(PROMPT.slice(0, position + 1));
const ask = (overrides: Partial<EngineRequest> = {}, promptLogprobs = 3): EngineRequest =>
  makeRequest({ promptIds: PROMPT, ...overrides, params: { maxTokens: 6, promptLogprobs } });

test('each prompt token but the first has its log-probability, rank and alternatives, whatever the chunks', () => {
  const plain = makeRequest({ promptIds: PROMPT, params: { maxTokens: 6 } });
  const { ids } = run(makeEngine().engine, [plain]).of(plain);
  for (const maxNumBatchedTokens of [1, 5, 64]) {
    const request = ask();
    const text = run(makeEngine({ maxNumBatchedTokens }).engine, [request]).of(request);
    assertTold(text.outputs, PROMPT, 3, scriptedRow);
    assert.deepEqual(text.ids, ids, 'the text is as without');
  }
});

test('a cached prefix is computed again for whoever wants to know about it, and spared to all others', () => {
  const { engine } = makeEngine();
  run(engine, [makeRequest({ promptIds: PROMPT })]);
  const request = ask();
  const text = run(engine, [request]).of(request);
  assert.equal(text.outputs[0]!.cachedTokens, 0);
  assertTold(text.outputs, PROMPT, 3, scriptedRow);
  const other = makeRequest({ promptIds: PROMPT });
  assert.equal(run(engine, [other]).of(other).outputs[0]!.cachedTokens, 20);
});

test('of several choices one tells', () => {
  const request = ask({ choices: choices(3) });
  const texts = run(makeEngine({ maxNumBatchedTokens: 8 }).engine, [request]);
  assertTold(texts.of(request, 0).outputs, PROMPT, 3, scriptedRow);
  for (const choice of [1, 2]) assert.ok(texts.of(request, choice).outputs.every((output) => output.promptLogprobs === undefined));
});

test('a preempted prompt goes on telling where it stopped', () => {
  const { engine } = makeEngine({ numBlocks: 9, maxNumBatchedTokens: 2 });
  const request = ask();
  const texts = new Texts([request]);
  engine.addRequest(request);
  for (let step = 0; step < 2; step++) texts.take(engine.step());
  engine.addRequest(makeRequest({ promptIds: PROMPT.slice(0, 8), priority: -1, params: { maxTokens: 20 } }));
  runToEnd(engine, texts);
  assertTold(texts.of(request).outputs, PROMPT, 3, scriptedRow);
  const restarts = texts.of(request).outputs.filter((output) => output.promptLogprobs);
  assert.ok(engine.stats().numPreemptions > 0 && restarts.length > 5, 'the scenario preempts');
});

test('the whole vocabulary is told in parts of bounded size, and nothing is generated where nothing is asked for', () => {
  const request = makeRequest({ promptIds: PROMPT, params: { maxTokens: 0, promptLogprobs: -1 } });
  const text = run(makeEngine().engine, [request]).of(request);
  assertTold(text.outputs, PROMPT, 32, scriptedRow);
  assert.deepEqual([text.ids, text.finish], [[], 'length']);
});

test('a prompt of one token has nothing to tell', () => {
  const request = ask({ promptIds: [4] });
  assert.ok(
    run(makeEngine().engine, [request])
      .of(request)
      .outputs.every((output) => output.promptLogprobs === undefined),
  );
});

for (const folder of ['qwen3', 'ernie4_5']) {
  test(`${folder}: prompt log-probabilities are transformers' within 2e-4`, () => {
    const dir = join(ORACLES, folder);
    const { runner, numBlocks, fingerprint } = createTestRunner({ modelDir: dir });
    const engine = new Engine({
      runner,
      groupEpoch: [1, 1],
      maxNumSeqs: 4,
      maxNumBatchedTokens: 100,
      maxModelLen: 512,
      blockSize: 16,
      numBlocks,
      enablePrefixCaching: true,
      enableChunkedPrefill: true,
      maxNumWaiting: 10,
      fingerprint,
      clock: { monotonic: () => 0 },
    });
    for (const length of [2, 33, 300] as const) {
      const golden = readGolden(dir, length);
      const prompt = Array.from(golden.inputIds);
      const request = makeRequest({ promptIds: prompt, params: { maxTokens: 4, promptLogprobs: 5 } });
      const text = run(engine, [request]).of(request);
      const vocabSize = golden.logits.length / length;
      assertTold(text.outputs, prompt, 5, (position) => golden.logits.subarray(position * vocabSize, (position + 1) * vocabSize));
      assert.deepEqual(text.ids, Array.from(golden.greedyIds.subarray(0, 4)));
    }
    runner.close();
  });
}
