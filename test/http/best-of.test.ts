import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { COMPLETIONS, call, testApi } from '../support/api-client.ts';
import { each } from '../support/fake-generator.ts';
import { parseChunks } from '../support/sse-client.ts';

const entry = (logprob: number) => ({ tokenId: 1, token: 'x', bytes: [120], logprob, textOffset: 0, top: [] });

/** The log-probabilities of each candidate's tokens: the third is best by their mean, though not by their sum. */
const CANDIDATES = [[-1, -1], [-0.9], [-0.5, -0.5, -0.5], [-2]];

const scored = () =>
  testApi({
    script: function* (request) {
      yield each(request, (choice) => ({
        text: `candidate ${choice}`,
        tokenIds: CANDIDATES[choice]!.map(() => 1),
        logprobs: CANDIDATES[choice]!.map(entry),
        finishReason: 'stop',
      }));
    },
  });

describe('best_of', () => {
  it('answers with the candidates of the highest mean log-probability, best first, and counts all of them', async () => {
    const { api, generator } = scored();
    const { json } = await call(api, COMPLETIONS, { body: { prompt: 'x', n: 2, best_of: 4 } });
    assert.deepEqual(
      json.choices.map(({ index, text, logprobs }: Record<string, unknown>) => [index, text, logprobs]),
      [
        [0, 'candidate 2', null],
        [1, 'candidate 1', null],
      ],
    );
    assert.equal(json.usage.completion_tokens, 7);
    assert.deepEqual([generator.requests[0]?.n, generator.requests[0]?.sampling.logprobs], [4, 0]);
  });

  it('chooses for each prompt of a batch', async () => {
    const { api } = scored();
    const { json } = await call(api, COMPLETIONS, { body: { prompt: ['x', 'y', 'z'], best_of: 3, logprobs: 0 } });
    assert.deepEqual(
      json.choices.map(({ index, text, logprobs }: { index: number; text: string; logprobs: { tokens: string[] } }) => [
        index,
        text,
        logprobs.tokens.length,
      ]),
      [
        [0, 'candidate 2', 3],
        [1, 'candidate 2', 3],
        [2, 'candidate 2', 3],
      ],
    );
  });

  it('works where log-probabilities are not answered', async () => {
    const { api } = testApi({
      enableLogprob: false,
      script: (request) => [each(request, (i) => ({ text: `${i}`, tokenIds: [1], logprobs: [entry(i - 2)], finishReason: 'stop' }))],
    });
    const { json } = await call(api, COMPLETIONS, { body: { prompt: 'x', best_of: 2 } });
    assert.equal(json.choices[0].text, '1');
  });

  it('equal to n chooses nothing, and may be streamed', async () => {
    const { api, generator } = testApi();
    const { text } = await call(api, COMPLETIONS, { body: { prompt: 'x', best_of: 1, stream: true } });
    const texts = parseChunks(text).map(({ choices }) => choices[0].text);
    assert.equal(texts.join(''), 'Hello world');
    assert.equal(generator.requests[0]?.sampling.logprobs, undefined);
  });

  for (const [fields, message] of [
    [{ best_of: 2, stream: true }, /cannot be streamed/],
    [{ best_of: 1, n: 2 }, /must not be less than `n`/],
    [{ best_of: 0 }, /best_of must be at least 1/],
    [{ best_of: 129 }, /less than or equal to 128/],
    [{ best_of: 'x' }, /valid integer/],
  ] as const) {
    it(`${JSON.stringify(fields)} is a 400`, async () => {
      const { api } = testApi();
      const { status, json } = await call(api, COMPLETIONS, { body: { prompt: 'x', ...fields } });
      assert.deepEqual([status, json.error.param], [400, 'best_of']);
      assert.match(json.error.message, message);
    });
  }

  it('times the prompts is bounded', async () => {
    const { api } = testApi();
    const { status, json } = await call(api, COMPLETIONS, { body: { prompt: Array(11).fill('x'), best_of: 100 } });
    assert.deepEqual([status, json.error.param], [400, 'prompt']);
  });
});
