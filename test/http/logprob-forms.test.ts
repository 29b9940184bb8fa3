import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CHAT, COMPLETIONS, call, HELLO, testApi } from '../support/api-client.ts';
import { parseChunks } from '../support/sse-client.ts';

const named = (tokenId: number, token: string, logprob: number) => ({ tokenId, token, bytes: [...Buffer.from(token)], logprob });
const ranked = (tokenId: number, token: string, logprob: number, rank: number) => ({ ...named(tokenId, token, logprob), rank });

const script = () => [
  [
    {
      text: 'a',
      tokenIds: [5],
      logprobs: [{ ...named(5, 'a', -1), textOffset: 0, top: [named(6, 'b', -0.5), named(7, 'c', Number.NEGATIVE_INFINITY)] }],
      finishReason: 'stop' as const,
    },
  ],
];
const PROMPT = {
  promptTokenIds: [3, 4],
  promptLogprobs: [null, { ...ranked(4, 'd', -2, 9), top: [ranked(2, 'e', -0.1, 1), ranked(1, 'f', -3, 2)] }],
};
const base = (path: string) => (path === CHAT ? { messages: HELLO } : { prompt: 'x' });

describe('log-probabilities', () => {
  it('have no token text with include_logprobs_decode_token off, and ids as names with return_tokens_as_token_ids', async () => {
    const { api } = testApi({ script });
    const chat = async (fields: object) => {
      const { json } = await call(api, CHAT, { body: { ...base(CHAT), logprobs: true, top_logprobs: 2, ...fields } });
      const [{ token, bytes, top_logprobs: top }] = json.choices[0].logprobs.content;
      return [token, bytes, top.map((other: { token: string }) => other.token)];
    };
    assert.deepEqual(await chat({}), ['a', [97], ['b', 'c']]);
    assert.deepEqual(await chat({ include_logprobs_decode_token: false }), ['', null, ['', '']]);
    assert.deepEqual(await chat({ return_tokens_as_token_ids: true }), ['token_id:5', [97], ['token_id:6', 'token_id:7']]);
    const text = async (fields: object) => {
      const { json } = await call(api, COMPLETIONS, { body: { ...base(COMPLETIONS), logprobs: 2, ...fields } });
      const { tokens, top_logprobs: top } = json.choices[0].logprobs;
      return [tokens, top];
    };
    assert.deepEqual(await text({}), [['a'], [{ b: -0.5, c: -9999, a: -1 }]]);
    const byId = { 'token_id:6': -0.5, 'token_id:7': -9999, 'token_id:5': -1 };
    assert.deepEqual(await text({ include_logprobs_decode_token: false }), [[''], [byId]]);
    assert.deepEqual(await text({ return_tokens_as_token_ids: true }), [['token_id:5'], [byId]]);
  });

  it('of a token that cannot be sampled are -9999, as JSON has no infinity', async () => {
    const { api } = testApi({ script });
    const { json } = await call(api, CHAT, { body: { ...base(CHAT), logprobs: true, top_logprobs: 2 } });
    assert.equal(json.choices[0].logprobs.content[0].top_logprobs[1].logprob, -9999);
  });

  it('are of the distribution that was asked for', async () => {
    const { api, generator } = testApi();
    for (const path of [CHAT, COMPLETIONS]) {
      for (const fields of [{}, { temp_scaled_logprobs: true }, { top_p_normalized_logprobs: true }]) {
        await call(api, path, { body: { ...base(path), ...fields } });
      }
    }
    const modes = [undefined, { tempScaled: true, topPNormalized: false }, { tempScaled: false, topPNormalized: true }];
    assert.deepEqual(
      generator.requests.map(({ sampling }) => sampling.logprobsMode),
      [...modes, ...modes],
    );
  });

  it('have as many alternatives as --max-logprobs allows, the whole vocabulary included when it is -1', async () => {
    const many = testApi({ maxLogprobs: -1 });
    for (const top_logprobs of [4000, -1]) {
      assert.equal((await call(many.api, CHAT, { body: { ...base(CHAT), logprobs: true, top_logprobs } })).status, 200);
    }
    assert.deepEqual(
      many.generator.requests.map(({ sampling }) => sampling.logprobs),
      [4000, -1],
    );
    const few = testApi({ maxLogprobs: 3 });
    for (const [path, field, value] of [
      [CHAT, 'top_logprobs', 4],
      [CHAT, 'prompt_logprobs', 4],
      [COMPLETIONS, 'logprobs', -1],
      [COMPLETIONS, 'prompt_logprobs', -1],
    ] as const) {
      const { status, json } = await call(few.api, path, {
        body: { ...base(path), ...(path === CHAT && { logprobs: true }), [field]: value },
      });
      assert.deepEqual([status, json.error.param], [400, field]);
      assert.match(json.error.message, /logprobs requested \(-?\d\) exceeds maximum allowed value \(3\)\.$/);
    }
    assert.equal(few.generator.runs.length, 0);
  });

  it('of drafts are accepted as a wish, and null', async () => {
    const { api } = testApi();
    for (const path of [CHAT, COMPLETIONS]) {
      const { json } = await call(api, path, { body: { ...base(path), include_draft_logprobs: true } });
      assert.equal(json.choices[0].draft_logprobs, null);
    }
  });
});

describe('prompt_logprobs', () => {
  const expected = (names: [string | null, string | null]) => [
    null,
    { 2: { logprob: -0.1, rank: 1, decoded_token: names[0] }, 4: { logprob: -2, rank: 9, decoded_token: names[1] } },
  ];

  for (const path of [CHAT, COMPLETIONS]) {
    it(`${path} tells each token of the prompt and the best others, by id`, async () => {
      const { api, generator } = testApi(PROMPT);
      const { json } = await call(api, path, { body: { ...base(path), prompt_logprobs: 1 } });
      assert.deepEqual(json.choices[0].prompt_logprobs, expected(['e', 'd']));
      assert.equal(generator.requests[0]?.sampling.promptLogprobs, 1);
    });

    it(`${path} has no texts with include_logprobs_decode_token off`, async () => {
      const { api } = testApi(PROMPT);
      const { json } = await call(api, path, { body: { ...base(path), prompt_logprobs: 1, include_logprobs_decode_token: false } });
      assert.deepEqual(json.choices[0].prompt_logprobs, expected([null, null]));
    });

    it(`${path} streams them with the first chunk of every choice`, async () => {
      const { api } = testApi(PROMPT);
      const { text } = await call(api, path, { body: { ...base(path), prompt_logprobs: 1, n: 2, stream: true } });
      for (const index of [0, 1]) {
        const ofChoice = parseChunks(text).filter(({ choices }) => choices[0].index === index);
        assert.deepEqual(ofChoice[0].choices[0].prompt_logprobs, expected(['e', 'd']));
        assert.ok(ofChoice.slice(1).every(({ choices }) => choices[0].prompt_logprobs === undefined));
      }
    });

    it(`${path} 0 tells the prompt's own tokens only, and without the field there are none`, async () => {
      const { api } = testApi(PROMPT);
      const { json } = await call(api, path, { body: { ...base(path), prompt_logprobs: 0 } });
      assert.deepEqual(json.choices[0].prompt_logprobs, [null, { 4: { logprob: -2, rank: 9, decoded_token: 'd' } }]);
      assert.equal((await call(api, path, { body: base(path) })).json.choices[0].prompt_logprobs, null);
    });

    it(`${path} needs --enable-logprob`, async () => {
      const { api } = testApi({ enableLogprob: false });
      const { status, json } = await call(api, path, { body: { ...base(path), prompt_logprobs: 0 } });
      assert.deepEqual([status, json.error.param], [400, 'prompt_logprobs']);
      assert.match(json.error.message, /Logprobs is disabled/);
    });
  }

  it('of all prompts and choices of a batch have one limit, and what is above it is aborted', async () => {
    const { api, generator } = testApi({ promptTokenIds: Array.from({ length: 1000 }, (_, id) => id), script });
    const ask = (prompts: number, fields: object) =>
      call(api, COMPLETIONS, { body: { prompt: Array(prompts).fill('x'), max_tokens: 1, ...fields } });
    for (const fields of [{ prompt_logprobs: 19 }, { echo: true, logprobs: 19 }]) {
      assert.equal((await ask(25, fields)).status, 200);
      const from = generator.runs.length;
      const { status, json } = await ask(26, fields);
      assert.deepEqual([status, json.error.code, json.error.param], [400, 'invalid_value', 'prompt_logprobs']);
      assert.ok(generator.runs.slice(from).every(({ signal }) => signal.aborted));
    }
  });
});
