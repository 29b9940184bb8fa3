import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GREEDY, type LogprobsKind, type LogprobsMode, type SamplingParams } from '../../src/core/sampling-params.ts';
import { LOWEST_LOGPROB, LogprobReader } from '../../src/engine/logprobs.ts';
import { LogitsError } from '../../src/engine/sampler.ts';
import { TokenHistory } from '../../src/engine/token-history.ts';
import { paramsOf, samplingCases } from '../support/sampling-oracle.ts';

const mode = (fields: Partial<LogprobsMode>): LogprobsMode => ({ tempScaled: false, topPNormalized: false, ...fields });
const withParams = (params: Partial<SamplingParams>): SamplingParams => ({ ...GREEDY, temperature: 1, logprobs: 0, ...params });

/** Every token's value, by asking for the whole vocabulary. */
function all(
  logits: readonly number[],
  params: SamplingParams,
  history = new TokenHistory([0], [], params),
  mask: Int32Array | null = null,
) {
  const reader = new LogprobReader(logits.length);
  const entry = reader.ofChosen(Float32Array.from(logits), 0, { ...params, logprobs: -1 }, history, mask);
  const values: number[] = [];
  for (const [i, id] of entry.topIds.entries()) values[id] = entry.topLogprobs[i]!;
  assert.equal(entry.topIds.length, logits.length);
  assert.equal(entry.logprob, values[0]);
  return values;
}

const softmax = (values: readonly number[]): number[] => {
  const weights = values.map((value) => Math.exp(value - Math.max(...values)));
  const total = weights.reduce((sum, weight) => sum + weight);
  return weights.map((weight) => weight / total);
};

function assertClose(actual: readonly number[], expected: readonly number[], message: string): void {
  for (const [id, value] of expected.entries()) {
    const wanted = Math.max(value, LOWEST_LOGPROB);
    assert.ok(Math.abs(actual[id]! - wanted) < 1e-5, `${message}, token ${id}: ${actual[id]} instead of ${wanted}`);
  }
}

test('every case of sampling.json: raw log-probabilities are those of the untouched logits, best first', () => {
  for (const [index, oracle] of samplingCases.entries()) {
    assertClose(all(oracle.logits, paramsOf(oracle)), oracle.raw_logprobs, `case ${index}`);
    const logits = Float32Array.from(oracle.logits);
    const params = withParams({ logprobs: 5 });
    const entry = new LogprobReader(logits.length).ofChosen(logits, index % logits.length, params, new TokenHistory([0], [], params), null);
    assert.ok(Math.abs(entry.logprob - oracle.raw_logprobs[index % logits.length]!) < 1e-5);
    const best = oracle.raw_logprobs.toSorted((a, b) => b - a).slice(0, 5);
    for (const [i, logprob] of best.entries()) assert.ok(Math.abs(entry.topLogprobs[i]! - logprob) < 1e-5);
  }
});

test('every case of sampling.json: processed log-probabilities are the logarithms of what is drawn from', () => {
  const kind: LogprobsKind = 'processed_logprobs';
  for (const [index, oracle] of samplingCases.entries()) {
    const params = { ...paramsOf(oracle), logprobsMode: mode({ kind }) };
    if (params.temperature === 0) continue;
    const history = new TokenHistory(oracle.prompt_token_ids, oracle.output_token_ids, params);
    const probabilities = all(oracle.logits, params, history).map((value) => (value === LOWEST_LOGPROB ? 0 : Math.exp(value)));
    for (const [id, probability] of probabilities.entries()) {
      assert.ok(Math.abs(probability - (oracle.expect.probs![id] ?? 0)) < 1e-6, `case ${index}, token ${id}`);
    }
  }
});

test('temperature-scaled log-probabilities are those of the logits divided by the temperature; greedy text has none to divide by', () => {
  for (const temperature of [0.1, 0.7, 1, 1.9]) {
    for (const oracle of samplingCases.slice(0, 40)) {
      const logits = Array.from(Float32Array.from(oracle.logits));
      const expected = softmax(logits.map((logit) => logit / temperature)).map(Math.log);
      assertClose(
        all(logits, withParams({ temperature, logprobsMode: mode({ tempScaled: true }) })),
        expected,
        `temperature ${temperature}`,
      );
    }
  }
  const logits = [1, 2, 3];
  const greedy = all(logits, withParams({ temperature: 0, logprobsMode: mode({ tempScaled: true }) }));
  assertClose(greedy, softmax(logits).map(Math.log), 'greedy');
  assert.deepEqual(all(logits, withParams({ temperature: 1e-300, logprobsMode: mode({ tempScaled: true }) })), [-9999, -9999, 0]);
});

test('within the top_p set, log-probabilities are renormalised; outside it they are -9999', () => {
  for (const topP of [0.3, 0.8, 0.95]) {
    for (const oracle of samplingCases.slice(0, 40)) {
      const logits = Array.from(Float32Array.from(oracle.logits));
      const probabilities = softmax(logits);
      const order = [...logits.keys()].sort((a, b) => probabilities[b]! - probabilities[a]! || a - b);
      const kept = new Set<number>();
      for (let i = 0, mass = 0; mass < topP; mass += probabilities[order[i++]!]!) kept.add(order[i]!);
      const total = [...kept].reduce((sum, id) => sum + probabilities[id]!, 0);
      const expected = probabilities.map((probability, id) => (kept.has(id) ? Math.log(probability / total) : LOWEST_LOGPROB));
      assertClose(all(logits, withParams({ topP, logprobsMode: mode({ topPNormalized: true }) })), expected, `top_p ${topP}`);
    }
  }
});

test('with a tiny top_p the only token left has log-probability 0', () => {
  const params = withParams({ topP: 1e-5, logprobsMode: mode({ topPNormalized: true }) });
  assert.deepEqual(all([1, 5, 2], params), [-9999, 0, -9999]);
});

test('plain logits are reported as they are, or after penalties, bias and temperature', () => {
  const logits = [1, -2, 4, 0.5];
  assert.deepEqual(all(logits, withParams({ temperature: 0.5, logprobsMode: mode({ kind: 'raw_logits' }) })), logits);
  const params = withParams({
    temperature: 0.5,
    logitBias: [[0, 2]],
    badWords: [[2]],
    frequencyPenalty: 0.25,
    logprobsMode: mode({ kind: 'processed_logits' }),
  });
  assert.deepEqual(all(logits, params, new TokenHistory([0], [3, 3], params)), [6, -4, -9999, 0]);
});

test("what a grammar's mask leaves out is out of the processed distribution, and in the raw one", () => {
  const mask = Int32Array.of(0b011);
  const logits = [0, 0, 9];
  const values = all(logits, withParams({ logprobsMode: mode({ kind: 'processed_logprobs' }) }), undefined, mask);
  assertClose(values, [Math.log(0.5), Math.log(0.5), LOWEST_LOGPROB], 'masked');
  assertClose(all(logits, withParams({}), undefined, mask), softmax(logits).map(Math.log), 'raw');
});

test('a prompt token has its rank: one more than the tokens that were likelier', () => {
  const reader = new LogprobReader(4);
  const params = withParams({ promptLogprobs: 2 });
  const entry = reader.ofPrompt(Float32Array.of(1, 3, 2, 2), 3, params);
  assert.equal(entry.rank, 2, 'an equal is not likelier');
  assert.deepEqual(entry.topIds, [1, 2]);
  assertClose(
    [entry.logprob, ...entry.topLogprobs],
    [3, 1, 2].map((id) => Math.log(softmax([1, 3, 2, 2])[id]!)),
    'values',
  );
  assert.throws(() => reader.ofPrompt(Float32Array.of(1, Number.NaN, 2, 2), 3, params), LogitsError);
});
