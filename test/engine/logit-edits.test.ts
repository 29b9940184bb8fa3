import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GREEDY, type SamplingParams } from '../../src/core/sampling-params.ts';
import { editLogits } from '../../src/engine/logit-edits.ts';
import { Sampler } from '../../src/engine/sampler.ts';
import { TokenHistory } from '../../src/engine/token-history.ts';

const historyOf = (params: SamplingParams): TokenHistory => new TokenHistory([1, 2], [], params);

const edited = (logits: readonly number[], params: Partial<SamplingParams>): number[] => {
  const copy = Float64Array.from(logits);
  const all = { ...GREEDY, ...params };
  editLogits(copy, all, historyOf(all));
  return [...copy];
};

test('the smallest repetition penalty leaves finite logits, of which greedy and sampled requests take the best', () => {
  const logits = [0.5, 3, -2, 1];
  assert.deepEqual(edited(logits, { repetitionPenalty: 1e-310 }), [0.5, Number.MAX_VALUE, -2 * 1e-310, 1]);
  for (const temperature of [0, 1, 1e-320]) {
    const params = { ...GREEDY, temperature, repetitionPenalty: 1e-310, frequencyPenalty: 2, topK: 3, topP: 0.9, minP: 0.1 };
    for (const draw of [0, 0.999]) {
      assert.equal(new Sampler(4).sample(Float32Array.from(logits), params, historyOf(params), draw), 1);
    }
  }
});

test('the largest repetition penalty bans nothing: a penalised token is taken when all others are banned', () => {
  const params = { ...GREEDY, repetitionPenalty: 1e308, badWords: [[0], [1], [3]] };
  assert.equal(edited([0, 0, -1e9, 0], params)[2], -Number.MAX_VALUE);
  assert.equal(new Sampler(4).sample(Float32Array.of(0, 0, -1e9, 0), params, historyOf(params), 0), 2);
});

test("a model's own Infinity stays Infinity under a penalty", () => {
  assert.deepEqual(edited([0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY], { repetitionPenalty: 2 }), [
    0,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
  ]);
});
