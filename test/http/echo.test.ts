import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Generation } from '../../src/core/generation.ts';
import { promptEcho } from '../../src/http/prompt-echo.ts';
import { COMPLETIONS, call, testApi } from '../support/api-client.ts';
import { each } from '../support/fake-generator.ts';
import { parseChunks } from '../support/sse-client.ts';

const named = (tokenId: number, token: string, logprob: number) => ({ tokenId, token, bytes: [...Buffer.from(token)], logprob });

/** The prompt "Hé you" in three tokens, with log-probabilities. */
const PROMPT = {
  promptText: 'Hé you',
  promptTokenIds: [7, 8, 9],
  promptTokens: ['Hé', ' y', 'ou'],
  promptLogprobs: [
    null,
    {
      ...named(8, ' y', -1),
      rank: 2,
      top: [
        { ...named(4, ' a', -0.5), rank: 1 },
        { ...named(8, ' y', -1), rank: 2 },
      ],
    },
    { ...named(9, 'ou', -0.25), rank: 1, top: [{ ...named(9, 'ou', -0.25), rank: 1 }] },
  ],
};
const OUTPUT = [
  [
    { text: '!', tokenIds: [3], logprobs: [{ ...named(3, '!', -2), textOffset: 0, top: [named(5, '?', -1)] }] },
    { text: '?', tokenIds: [5], logprobs: [{ ...named(5, '?', -3), textOffset: 1, top: [] }], finishReason: 'length' as const },
  ],
];

const LOGPROBS = {
  tokens: ['Hé', ' y', 'ou', '!', '?'],
  token_logprobs: [null, -1, -0.25, -2, -3],
  top_logprobs: [null, { ' a': -0.5, ' y': -1 }, { ou: -0.25 }, { '?': -1, '!': -2 }, { '?': -3 }],
  text_offset: [0, 2, 4, 6, 7],
};

describe('echo', () => {
  it('puts the prompt before the text of every choice', async () => {
    const { api } = testApi({
      promptText: 'Hé you',
      script: function* (request) {
        yield each(request, (choice) => ({ text: ` ${choice}`, tokenIds: [1], finishReason: 'stop' }));
      },
    });
    const { json } = await call(api, COMPLETIONS, { body: { prompt: ['Hé you', 'Hé you'], n: 2, echo: true } });
    assert.deepEqual(
      json.choices.map(({ text }: { text: string }) => text),
      ['Hé you 0', 'Hé you 1', 'Hé you 0', 'Hé you 1'],
    );
  });

  it('is the text of the first chunk of every choice', async () => {
    const { api } = testApi({
      promptText: 'Hé you',
      script: function* (request) {
        for (const text of ['a', 'b']) yield each(request, () => ({ text, tokenIds: [1] }));
        yield each(request, () => ({ finishReason: 'stop' }));
      },
    });
    const body = { prompt: ['Hé you', 'Hé you'], n: 2, echo: true, stream: true };
    const chunks = parseChunks((await call(api, COMPLETIONS, { body })).text);
    for (let index = 0; index < 4; index++) {
      const texts = chunks.filter(({ choices }) => choices[0].index === index).map(({ choices }) => choices[0].text);
      assert.deepEqual(texts, ['Hé you', 'a', 'b', '']);
    }
  });

  it("with logprobs tells the prompt's, the first of which is null, and offsets into the whole text", async () => {
    const { api, generator } = testApi({ ...PROMPT, script: () => OUTPUT });
    const { json } = await call(api, COMPLETIONS, { body: { prompt: 'Hé you', echo: true, logprobs: 2 } });
    assert.equal(generator.requests[0]?.sampling.promptLogprobs, 2);
    assert.equal(json.choices[0].text, 'Hé you!?');
    assert.deepEqual(json.choices[0].logprobs, LOGPROBS);
    assert.equal(json.choices[0].prompt_logprobs, null);
  });

  it('streams the same log-probabilities', async () => {
    const { api } = testApi({ ...PROMPT, script: () => OUTPUT });
    const chunks = parseChunks((await call(api, COMPLETIONS, { body: { prompt: 'x', echo: true, logprobs: 2, stream: true } })).text);
    const forms = chunks.map(({ choices }) => choices[0].logprobs).filter((form) => form !== null);
    for (const list of Object.keys(LOGPROBS) as (keyof typeof LOGPROBS)[]) {
      assert.deepEqual(
        forms.flatMap((form) => form[list]),
        LOGPROBS[list],
      );
    }
  });

  for (const stream of [false, true]) {
    it(`with max_tokens 0 scores the prompt and generates nothing${stream ? ', streamed' : ''}`, async () => {
      const { api, generator } = testApi({ ...PROMPT, script: () => [[{ ...OUTPUT[0]![0]!, finishReason: 'stop' }]] });
      const options = stream ? { stream, stream_options: {} } : {};
      const reply = await call(api, COMPLETIONS, { body: { prompt: 'x', echo: true, logprobs: 2, max_tokens: 0, ...options } });
      assert.equal(generator.requests[0]?.sampling.maxTokens, 1);
      const chunks = stream ? parseChunks(reply.text) : [reply.json];
      const choices = chunks.flatMap((chunk) => chunk.choices);
      assert.equal(choices.map(({ text }) => text).join(''), 'Hé you');
      assert.deepEqual(
        choices.flatMap(({ logprobs }) => logprobs?.token_logprobs ?? []),
        [null, -1, -0.25],
      );
      assert.equal(choices.at(-1).finish_reason, 'length');
      const { prompt_tokens: prompt, completion_tokens: completion, total_tokens: total } = chunks.at(-1).usage;
      assert.deepEqual([prompt, completion, total], [3, 0, 3]);
    });
  }

  it('is what max_tokens 0 needs', async () => {
    const { api } = testApi();
    const { status, json } = await call(api, COMPLETIONS, { body: { prompt: 'x', max_tokens: 0 } });
    assert.deepEqual([status, json.error.param], [400, 'max_tokens']);
  });

  it('gives a token that the tokenizer put around the text, or a part of a character, the place of what follows', async () => {
    const { api } = testApi({
      promptText: 'é!',
      promptTokenIds: [1, 2, 3, 4],
      promptTokens: ['<s>', 'bytes:\\xc3', 'bytes:\\xa9', '!'],
      script: () => [[{ text: '', tokenIds: [2], finishReason: 'stop', logprobs: [] }]],
    });
    const { json } = await call(api, COMPLETIONS, { body: { prompt: 'é!', echo: true, logprobs: 0 } });
    assert.deepEqual(json.choices[0].logprobs.text_offset, [0, 0, 1, 1]);
  });

  it("names a prompt's tokens once, however long it is", () => {
    const { promptTokens: tokens, promptTokenIds, promptText } = PROMPT;
    let numAsked = 0;
    const promptTokens = () => {
      numAsked++;
      return tokens;
    };
    const generation = { promptTokenIds, promptTokens, promptText: () => promptText, promptLogprobs: () => null };
    const { logprobs } = promptEcho(generation as unknown as Generation, 1, 'text');
    assert.deepEqual(logprobs?.tokens, tokens);
    assert.equal(numAsked, 1);
  });
});
