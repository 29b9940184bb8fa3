import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import { TroupeError } from '../../src/core/errors.ts';
import { CHAT, COMPLETIONS, call, HELLO, testApi } from '../support/api-client.ts';
import { each, handFed } from '../support/fake-generator.ts';
import { parseChunks } from '../support/sse-client.ts';

describe('a text completion', () => {
  it('has the fields of OpenAI and those that FastDeploy adds', async () => {
    const { api } = testApi({ promptText: 'Once' });
    const { json } = await call(api, COMPLETIONS, { body: { prompt: 'Once', return_token_ids: true } });
    const { id, created: _, ...rest } = json;
    assert.match(id, /^cmpl-[0-9a-f-]{36}$/);
    const [{ arrival_time: arrivalTime, ...choice }] = rest.choices;
    assert.ok(arrivalTime >= 0);
    assert.deepEqual(choice, {
      index: 0,
      text: 'Hello world',
      prompt_token_ids: [1, 2, 3],
      completion_token_ids: [5, 6, 2],
      prompt_tokens: 'Once',
      completion_tokens: 'Hello world',
      logprobs: null,
      prompt_logprobs: null,
      draft_logprobs: null,
      reasoning_content: null,
      tool_calls: null,
      finish_reason: 'stop',
    });
    assert.deepEqual([rest.object, rest.model, rest.usage.total_tokens], ['text_completion', 'troupe-mini', 6]);
  });

  it('takes a prompt in four forms', async () => {
    const { api, generator } = testApi();
    for (const prompt of ['a', ['a', 'b'], [1, 2], [[1], [2, 3]]]) await call(api, COMPLETIONS, { body: { prompt } });
    await call(api, COMPLETIONS, { body: { prompt: 'ignored', prompt_token_ids: [[4], [5]] } });
    assert.deepEqual(
      generator.requests.map(({ prompt }) => (prompt.type === 'tokens' ? prompt.tokenIds : prompt.type === 'text' && prompt.text)),
      ['a', 'a', 'b', [1, 2], [1], [2, 3], [4], [5]],
    );
  });

  it('numbers the choices prompt by prompt and adds the usage up', async () => {
    const { api } = testApi({
      script: function* (request) {
        const text = request.prompt.type === 'text' ? request.prompt.text : '';
        yield each(request, (choice) => ({ text: `${text}${choice}`, tokenIds: [1], finishReason: 'stop' }));
      },
    });
    const { json } = await call(api, COMPLETIONS, { body: { prompt: ['a', 'b'], n: 2 } });
    assert.deepEqual(
      json.choices.map((choice: { index: number; text: string }) => [choice.index, choice.text]),
      [
        [0, 'a0'],
        [1, 'a1'],
        [2, 'b0'],
        [3, 'b1'],
      ],
    );
    assert.deepEqual([json.usage.prompt_tokens, json.usage.completion_tokens], [6, 4]);
  });

  it('gives log-probabilities as parallel lists, with the offsets of their text', async () => {
    const entry = (token: string, logprob: number) => ({ tokenId: 1, token, bytes: [], logprob });
    const { api } = testApi({
      script: () => [
        [{ text: '😀', tokenIds: [1], logprobs: [{ ...entry('😀', -1), textOffset: 0, top: [entry('x', -0.5)] }] }],
        [{ text: 'b', tokenIds: [2], logprobs: [{ ...entry('b', -2), textOffset: 1, top: [entry('b', -2)] }], finishReason: 'stop' }],
      ],
    });
    const expected = {
      tokens: ['😀', 'b'],
      token_logprobs: [-1, -2],
      top_logprobs: [{ x: -0.5, '😀': -1 }, { b: -2 }],
      text_offset: [0, 1],
    };
    const { json } = await call(api, COMPLETIONS, { body: { prompt: 'a', logprobs: 1 } });
    assert.deepEqual(json.choices[0].logprobs, expected);
    const chunks = parseChunks((await call(api, COMPLETIONS, { body: { prompt: 'a', logprobs: 1, stream: true } })).text);
    assert.deepEqual(
      chunks.flatMap(({ choices }) => choices[0].logprobs.text_offset),
      expected.text_offset,
    );
  });

  it('of several prompts is refused as a whole when one is refused, and the others are aborted', async () => {
    const { api, generator } = testApi({
      refuse: ({ prompt }) =>
        prompt.type === 'text' && prompt.text === 'b' ? new TroupeError('queue_full', 'Full.', { retryAfterMs: 2500 }) : null,
    });
    const { status, headers } = await call(api, COMPLETIONS, { body: { prompt: ['a', 'b'] } });
    assert.deepEqual([status, headers['retry-after']], [429, '3']);
    assert.deepEqual(
      generator.runs.map(({ signal }) => signal.aborted),
      [true],
    );
  });
});

describe('a text stream', () => {
  it('has text chunks, no role, the finish reason on the last', async () => {
    const { api } = testApi({ script: () => [[{ text: 'a', tokenIds: [1] }], [{ text: 'b', tokenIds: [2], finishReason: 'length' }]] });
    const chunks = parseChunks((await call(api, COMPLETIONS, { body: { prompt: 'x', stream: true, stream_options: {} } })).text);
    assert.deepEqual(
      chunks.map(({ choices, usage }) => [choices[0]?.text, choices[0]?.finish_reason, usage?.total_tokens]),
      [
        ['a', null, undefined],
        ['b', 'length', undefined],
        [undefined, undefined, 5],
      ],
    );
  });

  it('of several prompts carries each as it comes', async () => {
    const feeds = [handFed(), handFed()];
    let numStarted = 0;
    const { api } = testApi({ script: () => (feeds[numStarted++] as (typeof feeds)[0]).script() });
    const reply = call(api, COMPLETIONS, { body: { prompt: ['a', 'b'], stream: true, return_token_ids: true } });
    feeds[1]?.queue.push({ text: 'second', tokenIds: [1], finishReason: 'stop' });
    feeds[1]?.queue.end();
    feeds[0]?.queue.push({ text: 'first', tokenIds: [1], finishReason: 'stop' });
    feeds[0]?.queue.end();
    const chunks = parseChunks((await reply).text);
    const texts = ['', ''];
    for (const { choices } of chunks) texts[choices[0].index] += choices[0].text;
    assert.deepEqual(texts, ['first', 'second']);
    const firsts = [0, 1].map((index) => chunks.find(({ choices }) => choices[0].index === index).choices[0]);
    assert.deepEqual(
      firsts.map(({ text, prompt_token_ids: ids }) => [text, ids]),
      [
        ['', [1, 2, 3]],
        ['', [1, 2, 3]],
      ],
    );
  });
});

test('each prompt carries the name of the field and place that it came from', async () => {
  const paramsOf = async (path: string, body: object) => {
    const { api, generator } = testApi();
    await call(api, path, { body });
    return generator.requests.map(({ prompt }) => prompt.param);
  };
  assert.deepEqual(await paramsOf(COMPLETIONS, { prompt: 'a' }), ['prompt']);
  assert.deepEqual(await paramsOf(COMPLETIONS, { prompt: ['a', 'b'] }), ['prompt[0]', 'prompt[1]']);
  assert.deepEqual(await paramsOf(COMPLETIONS, { prompt: [1, 2] }), ['prompt']);
  assert.deepEqual(await paramsOf(COMPLETIONS, { prompt: [[1], [2]] }), ['prompt[0]', 'prompt[1]']);
  assert.deepEqual(await paramsOf(COMPLETIONS, { prompt_token_ids: [1, 2] }), ['prompt_token_ids']);
  assert.deepEqual(await paramsOf(CHAT, { messages: HELLO }), ['messages']);
  assert.deepEqual(await paramsOf(CHAT, { messages: [1, 2] }), ['messages']);
  assert.deepEqual(await paramsOf(CHAT, { prompt_token_ids: [1, 2] }), ['prompt_token_ids']);
});
