import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GREEDY, type SamplingParams } from '../../src/core/sampling-params.ts';
import { uniform } from '../../src/engine/random.ts';
import { LogitsError, neededLogits, Sampler } from '../../src/engine/sampler.ts';
import { TokenHistory } from '../../src/engine/token-history.ts';
import { samplingCases as cases, paramsOf } from '../support/sampling-oracle.ts';

const withParams = (params: Partial<SamplingParams>): SamplingParams => ({ ...GREEDY, temperature: 1, ...params });
const noHistory = (params: SamplingParams = GREEDY): TokenHistory => new TokenHistory([0], [], params);
const distribution = (logits: readonly number[], params: SamplingParams, history = noHistory(params)): Map<number, number> =>
  new Sampler(logits.length).distribution(Float32Array.from(logits), params, history);

test('every case of sampling.json: probabilities within 1e-6, argmax among the tied', () => {
  assert.equal(cases.length, 400);
  let numGreedy = 0;
  for (const [index, oracle] of cases.entries()) {
    const params = paramsOf(oracle);
    const history = new TokenHistory(oracle.prompt_token_ids, oracle.output_token_ids, params);
    const sampler = new Sampler(oracle.logits.length);
    const logits = Float32Array.from(oracle.logits);
    if (params.temperature === 0) {
      numGreedy++;
      const id = sampler.sample(logits, params, history, 0);
      assert.ok(oracle.expect.tied!.includes(id), `case ${index}: argmax ${id}`);
      assert.equal(id, Math.min(...oracle.expect.tied!), `case ${index}: the lowest of equals`);
      continue;
    }
    const actual = sampler.distribution(logits, params, history);
    for (let id = 0; id < logits.length; id++) {
      const difference = Math.abs((actual.get(id) ?? 0) - (oracle.expect.probs![id] ?? 0));
      assert.ok(difference <= 1e-6, `case ${index}, token ${id}: off by ${difference}`);
    }
  }
  assert.ok(numGreedy > 20 && numGreedy < 380, `${numGreedy} greedy cases`);
});

test('a draw picks the token whose stretch of the cumulative distribution over ascending ids it falls in', () => {
  const logits = Float32Array.from([Math.log(0.125), Math.log(0.5), Math.log(0.25), Math.log(0.125)]);
  const sampler = new Sampler(4);
  const params = withParams({});
  const draws = [0, 0.1249, 0.126, 0.6249, 0.626, 0.8749, 0.876, 1 - 2 ** -53];
  assert.deepEqual(
    draws.map((draw) => sampler.sample(logits, params, noHistory(), draw)),
    [0, 0, 1, 1, 2, 2, 3, 3],
  );
});

test('draws follow the distribution', () => {
  const logits = Float32Array.from({ length: 12 }, (_, id) => Math.sin(id * 7));
  const params = withParams({ temperature: 0.8, topP: 0.9 });
  const sampler = new Sampler(12);
  const numDraws = 20_000;
  const counts = new Map<number, number>();
  for (let position = 0; position < numDraws; position++) {
    const id = sampler.sample(logits, params, noHistory(), uniform(3n, 0, position));
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  const expected = sampler.distribution(logits, params, noHistory());
  assert.deepEqual([...counts.keys()].sort(), [...expected.keys()].sort());
  // Five standard deviations; the draws are fixed, so this never varies.
  for (const [id, p] of expected)
    assert.ok(Math.abs(counts.get(id)! / numDraws - p) < 5 * Math.sqrt((p * (1 - p)) / numDraws), `token ${id}`);
});

test('top_p over a large vocabulary keeps exactly the tokens that sorting all of it keeps', () => {
  const vocabSize = 5000;
  for (const [spread, topP] of [
    [0.01, 0.5],
    [1, 0.9],
    [4, 0.95],
    [30, 0.999],
    [4, 0.0001],
  ] as const) {
    const logits = Array.from({ length: vocabSize }, (_, id) => Math.fround(spread * Math.tan(uniform(5n, 0, id) - 0.5)));
    const sorted = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
    const weights = sorted.map((id) => Math.exp(logits[id]! - logits[sorted[0]!]!));
    const wanted = weights.reduce((sum, weight) => sum + weight) * topP;
    const kept = new Set<number>();
    for (let i = 0, mass = 0; mass < wanted; mass += weights[i++]!) kept.add(sorted[i]!);
    const actual = distribution(logits, withParams({ topP }));
    assert.deepEqual(
      [...actual.keys()],
      [...kept].sort((a, b) => a - b),
      `spread ${spread}, top_p ${topP}`,
    );
  }
});

test('any temperature above 0 gives a distribution, however tiny or huge', () => {
  for (const temperature of [Number.MIN_VALUE, 1e-300, 1e-38, 1e-8]) {
    assert.deepEqual([...distribution([1, 3, 2.9999], withParams({ temperature }))], [[1, 1]], `temperature ${temperature}`);
    assert.deepEqual(
      [...distribution([-1e38, 3e38, 3e38], withParams({ temperature }))],
      [
        [1, 0.5],
        [2, 0.5],
      ],
    );
  }
  const even = distribution([1, 3, -200], withParams({ temperature: Number.MAX_VALUE }));
  for (const id of [0, 1, 2]) assert.ok(Math.abs(even.get(id)! - 1 / 3) < 1e-12);
});

test('tokens that the model itself rules out with -Infinity are never drawn', () => {
  const logits = [Number.NEGATIVE_INFINITY, 1, 1];
  assert.deepEqual(
    [...distribution(logits, withParams({ repetitionPenalty: 1.3 }))],
    [
      [1, 0.5],
      [2, 0.5],
    ],
  );
});

test('top_p 0 and min_p above 1 still leave the best token, the lowest of equals', () => {
  assert.deepEqual([...distribution([0, 2, 2], withParams({ topP: 0 }))], [[1, 1]]);
  assert.deepEqual([...distribution([0, 2, 2], withParams({ minP: 1.5 }))], [[1, 1]]);
});

test('the last token of a bad word is banned only after the others, and never after the prompt alone', () => {
  const params = withParams({ badWords: [[1, 2, 3]] });
  const banned = (prompt: number[], output: number[]): boolean =>
    !distribution([0, 0, 0, 0], params, new TokenHistory(prompt, output, params)).has(3);
  assert.equal(banned([0], [1, 2]), true);
  assert.equal(banned([0], [2, 1, 2]), true);
  assert.equal(banned([0], [1]), false);
  assert.equal(banned([0], [1, 2, 0]), false);
  assert.equal(banned([1, 2], []), false);
  assert.equal(banned([1], [2]), false);
});

test('when everything is banned, the best untouched logit is taken', () => {
  const params = withParams({ badWords: [[0], [1], [2]] });
  assert.deepEqual([...distribution([1, 5, 5], params)], [[1, 1]]);
  assert.equal(new Sampler(3).sample(Float32Array.of(1, 5, 5), { ...params, temperature: 0 }, noHistory(), 0), 1);
});

test('ids outside the vocabulary in bias, bad words and stop tokens have no effect', () => {
  const params = withParams({
    logitBias: [
      [7, 5],
      [-1, 5],
    ],
    badWords: [[9]],
    minTokens: 3,
    stopTokenIds: [12],
  });
  assert.deepEqual(
    [...distribution([0, 0], params)],
    [
      [0, 0.5],
      [1, 0.5],
    ],
  );
});

test('NaN, Infinity and a vocabulary of -Infinity are a LogitsError', () => {
  const bad = [
    [1, Number.NaN, 0],
    [Number.NaN, 1, 2],
    [1, Number.POSITIVE_INFINITY],
    [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY],
  ];
  for (const logits of bad) {
    for (const temperature of [0, 1]) {
      assert.throws(
        () => new Sampler(logits.length).sample(Float32Array.from(logits), withParams({ temperature }), noHistory(), 0.5),
        LogitsError,
      );
    }
  }
});

test('a token chosen by argmax needs no logits unless something edits or reports them', () => {
  assert.equal(neededLogits(GREEDY, 0), 'argmax');
  assert.equal(neededLogits({ ...GREEDY, stopTokenIds: [3] }, 0), 'argmax');
  assert.equal(neededLogits({ ...GREEDY, stopTokenIds: [3], minTokens: 2 }, 1), 'full');
  assert.equal(neededLogits({ ...GREEDY, stopTokenIds: [3], minTokens: 2 }, 2), 'argmax');
  const editing: Partial<SamplingParams>[] = [
    { temperature: 0.5 },
    { logprobs: 0 },
    { repetitionPenalty: 1.1 },
    { presencePenalty: 1 },
    { frequencyPenalty: -1 },
    { logitBias: [[1, 1]] },
    { badWords: [[1]] },
  ];
  for (const params of editing) assert.equal(neededLogits({ ...GREEDY, ...params }, 0), 'full', JSON.stringify(params));
});
