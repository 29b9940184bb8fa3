import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TroupeError } from '../../src/core/errors.ts';
import { CHAT, call, HELLO, testApi } from '../support/api-client.ts';
import { each, type ScriptedDelta } from '../support/fake-generator.ts';
import { parseChunks, parseSse } from '../support/sse-client.ts';

const logprob = (token: string, value: number, top: [string, number][] = []) => ({
  tokenId: token.length,
  token,
  bytes: [...Buffer.from(token)],
  logprob: value,
  textOffset: 0,
  top: top.map(([other, otherValue]) => ({ tokenId: other.length, token: other, bytes: [...Buffer.from(other)], logprob: otherValue })),
});

const TOOLS = [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }];

describe('a chat completion', () => {
  it('has the fields of OpenAI and those that FastDeploy adds', async () => {
    const { api } = testApi({ cachedTokens: 2 });
    const { status, json } = await call(api, CHAT, { body: { messages: HELLO } });
    assert.equal(status, 200);
    const { id, created, ...rest } = json;
    assert.match(id, /^chatcmpl-[0-9a-f-]{36}$/);
    assert.ok(Number.isInteger(created));
    assert.deepEqual(rest, {
      object: 'chat.completion',
      model: 'troupe-mini',
      choices: [
        {
          index: 0,
          message: {
            role: 'assistant',
            content: 'Hello world',
            refusal: null,
            reasoning_content: null,
            prompt_token_ids: null,
            completion_token_ids: null,
            prompt_tokens: null,
            completion_tokens: null,
          },
          logprobs: null,
          prompt_logprobs: null,
          draft_logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: {
        prompt_tokens: 3,
        completion_tokens: 3,
        total_tokens: 6,
        prompt_tokens_details: { cached_tokens: 2 },
        completion_tokens_details: { reasoning_tokens: 0 },
      },
    });
  });

  it('returns token ids beside the text when asked', async () => {
    const { api, generator } = testApi({ promptTokenIds: [7, 8] });
    const { json } = await call(api, CHAT, { body: { messages: HELLO, return_token_ids: true } });
    assert.deepEqual(json.choices[0].message.prompt_token_ids, [7, 8]);
    assert.deepEqual(json.choices[0].message.completion_token_ids, [5, 6, 2]);
    assert.equal(json.choices[0].message.content, 'Hello world');
    assert.equal(generator.requests[0]?.wantTokenIds, true);
  });

  it('keeps the choices of n apart', async () => {
    const { api } = testApi({
      script: function* (request) {
        yield each(request, (choice) => ({ text: `choice ${choice}`, tokenIds: [choice], finishReason: choice === 1 ? 'length' : 'stop' }));
      },
    });
    const { json } = await call(api, CHAT, { body: { messages: HELLO, n: 3 } });
    const facts = json.choices.map((choice: { index: number; message: { content: string }; finish_reason: string }) => [
      choice.index,
      choice.message.content,
      choice.finish_reason,
    ]);
    assert.deepEqual(facts, [
      [0, 'choice 0', 'stop'],
      [1, 'choice 1', 'length'],
      [2, 'choice 2', 'stop'],
    ]);
  });

  it('puts reasoning beside the content', async () => {
    const { api } = testApi({
      script: () => [[{ reasoning: 'hm', tokenIds: [1] }], [{ text: 'yes', tokenIds: [2], finishReason: 'stop' }]],
    });
    const { json } = await call(api, CHAT, { body: { messages: HELLO } });
    assert.equal(json.choices[0].message.reasoning_content, 'hm');
    assert.equal(json.choices[0].message.content, 'yes');
  });

  it('gives the sampled token with an empty list when no alternatives are asked for', async () => {
    const { api, generator } = testApi({
      script: () => [[{ text: 'é', tokenIds: [1], logprobs: [logprob('é', -0.5)], finishReason: 'stop' }]],
    });
    for (const extra of [{}, { top_logprobs: 0 }, { top_logprobs: null }]) {
      const { json } = await call(api, CHAT, { body: { messages: HELLO, logprobs: true, ...extra } });
      assert.deepEqual(json.choices[0].logprobs, {
        content: [{ token: 'é', logprob: -0.5, bytes: [0xc3, 0xa9], top_logprobs: [] }],
        refusal: null,
      });
    }
    assert.deepEqual(
      generator.requests.map((request) => request.sampling.logprobs),
      [0, 0, 0],
    );
  });

  it('gives the alternatives in order', async () => {
    const { api } = testApi({
      script: () => [
        [
          {
            text: 'a',
            tokenIds: [1],
            finishReason: 'stop',
            logprobs: [
              logprob('a', -1, [
                ['b', -0.5],
                ['a', -1],
              ]),
            ],
          },
        ],
      ],
    });
    const { json } = await call(api, CHAT, { body: { messages: HELLO, logprobs: true, top_logprobs: 2 } });
    assert.deepEqual(json.choices[0].logprobs.content[0].top_logprobs, [
      { token: 'b', logprob: -0.5, bytes: [98] },
      { token: 'a', logprob: -1, bytes: [97] },
    ]);
  });

  it('hands every sampling field to the generator', async () => {
    const { api, generator } = testApi();
    const { status } = await call(api, CHAT, {
      body: {
        messages: HELLO,
        temperature: 99.5,
        top_p: 0.25,
        top_k: -1,
        min_p: 0.1,
        presence_penalty: -2,
        frequency_penalty: 2,
        repetition_penalty: 1.5,
        logit_bias: { '5': -100, '7': 1.5 },
        seed: 42,
        stop: 'end',
        stop_token_ids: [9],
        include_stop_str_in_output: true,
        bad_words: ['no', ''],
        bad_words_token_ids: [3],
        ignore_eos: true,
        skip_special_tokens: false,
        min_tokens: 2,
        max_tokens: 7,
        max_completion_tokens: 5,
        logprobs: true,
        top_logprobs: 20,
        priority: -3,
        cache_salt: 'tenant',
        enable_thinking: false,
        chat_template_kwargs: { style: 'short' },
        request_id: 'mine',
        user: 'ann',
        metadata: { note: 'x', raw: [1] },
        prompt_logprobs: 3,
        temp_scaled_logprobs: true,
        reasoning_max_tokens: 9,
        response_max_tokens: 8,
        completion_token_ids: [4, 5],
        truncate_prompt_tokens: 100,
        timeout: 1.5,
        chat_template: '{{ messages }}',
        guided_regex: 'a+',
        tools: TOOLS,
        parallel_tool_calls: false,
      },
    });
    assert.equal(status, 200);
    assert.deepEqual(generator.requests[0], {
      requestId: 'chatcmpl-mine',
      prompt: {
        type: 'chat',
        param: 'messages',
        messages: HELLO,
        tools: TOOLS,
        addGenerationPrompt: true,
        continueFinalMessage: false,
        templateKwargs: { enable_thinking: false, style: 'short' },
        chatTemplate: '{{ messages }}',
      },
      n: 1,
      sampling: {
        temperature: 99.5,
        topK: -1,
        topP: 0.25,
        minP: 0.1,
        repetitionPenalty: 1.5,
        presencePenalty: -2,
        frequencyPenalty: 2,
        logitBias: [
          [5, -100],
          [7, 1.5],
        ],
        minTokens: 2,
        maxTokens: 5,
        logprobs: 20,
        logprobsMode: { tempScaled: true, topPNormalized: false },
        promptLogprobs: 3,
      },
      seed: 42n,
      stop: ['end'],
      stopTokenIds: [9],
      includeStopStrInOutput: true,
      ignoreEos: true,
      skipSpecialTokens: false,
      badWords: ['no'],
      badWordsTokenIds: [3],
      parseReasoning: true,
      tools: { functions: [{ name: 'f', parameters: { type: 'object' } }], choice: 'auto', parallel: false },
      constraint: { type: 'regex', pattern: 'a+', param: 'guided_regex' },
      reasoningMaxTokens: 9,
      responseMaxTokens: 8,
      continuationIds: [4, 5],
      truncatePromptTokens: 100,
      timeoutMs: 1500,
      wantTokenIds: false,
      priority: -3,
      cacheSalt: 'tenant',
    });
  });

  it('says nothing about what the request does not mention, so that generation_config.json holds', async () => {
    const { api, generator } = testApi();
    await call(api, CHAT, { body: { messages: HELLO, temperature: null, top_p: null } });
    assert.deepEqual(generator.requests[0]?.sampling, {});
  });

  it('takes the prompt as token ids, in messages or beside them', async () => {
    const { api, generator } = testApi();
    await call(api, CHAT, { body: { messages: [4, 5] } });
    await call(api, CHAT, { body: { messages: HELLO, prompt_token_ids: [6] } });
    await call(api, CHAT, { body: { prompt_token_ids: [7] } });
    await call(api, CHAT, { body: { messages: HELLO, prompt_token_ids: [] } });
    assert.deepEqual(
      generator.requests.map(({ prompt }) => (prompt.type === 'tokens' ? prompt.tokenIds : prompt.type)),
      [[4, 5], [6], [7], 'chat'],
    );
  });

  it('leaves messages as they came, for templates that look at any field', async () => {
    const { api, generator } = testApi();
    const messages = [
      { role: 'user', content: [{ type: 'text', text: 'a' }] },
      { role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: {} } }], thoughts: 'x' },
      { role: 'tool', tool_call_id: '1', content: null },
    ];
    await call(api, CHAT, { body: { messages } });
    const prompt = generator.requests[0]?.prompt;
    assert.deepEqual(prompt?.type === 'chat' && prompt.messages, messages);
  });

  it('thinks when the request says so in any of the three places, the template variables first', async () => {
    const { api, generator } = testApi();
    const cases: [object, boolean | undefined][] = [
      [{}, undefined],
      [{ enable_thinking: true }, true],
      [{ metadata: { enable_thinking: false } }, false],
      [{ metadata: { enable_thinking: false }, enable_thinking: true }, true],
      [{ enable_thinking: true, chat_template_kwargs: { enable_thinking: false } }, false],
    ];
    for (const [fields] of cases) await call(api, CHAT, { body: { messages: HELLO, ...fields } });
    const seen = generator.requests.map(({ prompt }) => prompt.type === 'chat' && prompt.templateKwargs.enable_thinking);
    assert.deepEqual(
      seen,
      cases.map(([, expected]) => expected),
    );
  });

  it('continues the final message without a new turn', async () => {
    const { api, generator } = testApi();
    await call(api, CHAT, { body: { messages: HELLO, continue_final_message: true } });
    await call(api, CHAT, { body: { messages: HELLO, add_generation_prompt: false } });
    const flags = generator.requests.map(
      ({ prompt }) => prompt.type === 'chat' && [prompt.addGenerationPrompt, prompt.continueFinalMessage],
    );
    assert.deepEqual(flags, [
      [false, true],
      [false, false],
    ]);
  });

  it('has the user in its id, and the id in x-request-id', async () => {
    const { api } = testApi();
    const named = await call(api, CHAT, { body: { messages: HELLO, user: 'ann' } });
    assert.match(named.json.id, /^chatcmpl-ann-[0-9a-f-]{36}$/);
    assert.equal(named.headers['x-request-id'], named.json.id);
    const given = await call(api, CHAT, { body: { messages: HELLO }, headers: { 'x-request-id': 'trace-7' } });
    assert.equal(given.headers['x-request-id'], 'trace-7');
    const odd = await call(api, CHAT, { body: { messages: HELLO, user: 'a\r\nset-cookie: é' } });
    assert.match(odd.headers['x-request-id'] ?? '', /^[\x21-\x7e]+$/);
  });

  it('is refused under an id that still runs, and accepted when that has ended', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const { api } = testApi({
      script: async function* () {
        await held;
        yield [{ text: 'x', tokenIds: [1], finishReason: 'stop' }];
      },
    });
    const body = { messages: HELLO, request_id: 'same' };
    const first = call(api, CHAT, { body });
    const second = await call(api, CHAT, { body });
    assert.deepEqual([second.status, second.json.error.param], [400, 'request_id']);
    release();
    assert.equal((await first).json.id, 'chatcmpl-same');
    assert.equal((await call(api, CHAT, { body })).status, 200);
  });

  it('that fails after it was accepted is an error with its status, without our internals', async () => {
    const failing = (error: Error) =>
      testApi({
        script: function* () {
          yield [{ text: 'x', tokenIds: [1] }];
          throw error;
        },
      });
    const known = await call(failing(new TroupeError('engine_failed', 'The engine died.')).api, CHAT, { body: { messages: HELLO } });
    assert.deepEqual([known.status, known.json.error.code, known.json.error.message], [500, 'engine_failed', 'The engine died.']);
    const bug = failing(new TypeError('secret internals'));
    const reply = await call(bug.api, CHAT, { body: { messages: HELLO } });
    assert.equal(reply.status, 500);
    assert.equal(reply.json.error.code, 'internal_error');
    assert.doesNotMatch(reply.text, /secret|at .*\.ts/);
    assert.ok(bug.logs.some((line) => line.level === 'error' && JSON.stringify(line).includes('secret internals')));
  });
});

describe('a chat stream', () => {
  it('has a role chunk, text, a finish chunk and [DONE], and every content is a string', async () => {
    const { api } = testApi();
    const { headers, text } = await call(api, CHAT, { body: { messages: HELLO, stream: true } });
    assert.equal(headers['content-type'], 'text/event-stream; charset=utf-8');
    assert.equal(headers['cache-control'], 'no-cache');
    assert.equal(headers['x-accel-buffering'], 'no');
    const chunks = parseChunks(text);
    assert.deepEqual(
      chunks.map(({ object, choices }) => [object, choices[0].delta.role, choices[0].delta.content, choices[0].finish_reason]),
      [
        ['chat.completion.chunk', 'assistant', '', null],
        ['chat.completion.chunk', undefined, 'Hello', null],
        ['chat.completion.chunk', undefined, ' world', null],
        ['chat.completion.chunk', undefined, '', 'stop'],
      ],
    );
    assert.equal(new Set(chunks.map(({ id }) => id)).size, 1);
    assert.ok(chunks.every((chunk) => chunk.usage === undefined && chunk.model === 'troupe-mini'));
  });

  it('keeps the finish chunk empty when text comes with the end', async () => {
    const { api } = testApi({ script: () => [[{ text: 'all', tokenIds: [1], finishReason: 'length' }]] });
    const { text } = await call(api, CHAT, { body: { messages: HELLO, stream: true, return_token_ids: true } });
    const deltas = parseChunks(text).map(({ choices }) => [
      choices[0].delta.content,
      choices[0].delta.completion_token_ids,
      choices[0].finish_reason,
    ]);
    assert.deepEqual(deltas, [
      ['', null, null],
      ['all', [1], null],
      ['', null, 'length'],
    ]);
  });

  it('tells the usage at the end when asked, and null before', async () => {
    const { api } = testApi();
    for (const stream_options of [{}, { include_usage: true }, { include_usage: null }]) {
      const chunks = parseChunks((await call(api, CHAT, { body: { messages: HELLO, stream: true, stream_options } })).text);
      const last = chunks.pop();
      assert.deepEqual(last.choices, []);
      assert.deepEqual([last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.total_tokens], [3, 3, 6]);
      assert.ok(chunks.every((chunk) => chunk.usage === null && chunk.choices.length === 1));
    }
    const without = parseChunks(
      (await call(api, CHAT, { body: { messages: HELLO, stream: true, stream_options: { include_usage: false } } })).text,
    );
    assert.ok(without.every((chunk) => chunk.choices.length === 1));
  });

  it('counts in every chunk with continuous_usage_stats', async () => {
    const { api } = testApi();
    const stream_options = { continuous_usage_stats: true, include_usage: false };
    const chunks = parseChunks((await call(api, CHAT, { body: { messages: HELLO, stream: true, stream_options } })).text);
    assert.deepEqual(
      chunks.map((chunk) => [chunk.usage.prompt_tokens, chunk.usage.completion_tokens, chunk.usage.total_tokens]),
      [
        [3, 0, 3],
        [3, 1, 4],
        [3, 2, 5],
        [3, 3, 6],
      ],
    );
  });

  it('has a role chunk and a finish chunk for each of n choices', async () => {
    const { api } = testApi();
    const chunks = parseChunks((await call(api, CHAT, { body: { messages: HELLO, stream: true, n: 2 } })).text);
    const texts = ['', ''];
    for (const { choices } of chunks) texts[choices[0].index] += choices[0].delta.content;
    assert.deepEqual(texts, ['Hello world', 'Hello world']);
    assert.equal(chunks.filter(({ choices }) => choices[0].delta.role === 'assistant').length, 2);
    assert.equal(chunks.filter(({ choices }) => choices[0].finish_reason === 'stop').length, 2);
  });

  it('loses no token id or log-probability of a token whose text is held back', async () => {
    const held: ScriptedDelta[][] = [
      [{ tokenIds: [1], logprobs: [logprob('\ufffd', -1)] }],
      [{ text: '😀', tokenIds: [2], logprobs: [logprob('\ufffd', -2)] }],
      [{ tokenIds: [3], finishReason: 'stop' }],
    ];
    const { api } = testApi({ script: () => held });
    const body = { messages: HELLO, stream: true, logprobs: true, return_token_ids: true };
    const chunks = parseChunks((await call(api, CHAT, { body })).text);
    const deltas = chunks.flatMap(({ choices }) => choices);
    assert.deepEqual(
      deltas.flatMap(({ delta }) => delta.completion_token_ids ?? []),
      [1, 2, 3],
    );
    assert.deepEqual(
      deltas.flatMap(({ logprobs }) => logprobs?.content ?? []).map((entry) => entry.logprob),
      [-1, -2],
    );
    assert.deepEqual(deltas[0].delta.prompt_token_ids, [1, 2, 3]);
    assert.equal(deltas.map(({ delta }) => delta.content).join(''), '😀');
  });

  it('joins what waited into one write, one event per delta', async () => {
    const { api } = testApi({ script: () => [[{ text: 'a', tokenIds: [1] }, { text: 'b', tokenIds: [2] }, { finishReason: 'stop' }]] });
    const reply = await api.handle({
      method: 'POST',
      path: CHAT,
      headers: {},
      body: Buffer.from(JSON.stringify({ messages: HELLO, stream: true })),
      signal: new AbortController().signal,
    });
    assert.ok(typeof reply.body !== 'string');
    const pieces: string[] = [];
    for await (const piece of reply.body) pieces.push(piece);
    assert.equal(pieces.length, 2);
    assert.equal(parseSse(pieces[0] ?? '').data.length, 4);
    assert.equal(pieces[1], 'data: [DONE]\n\n');
  });

  it('tells a failure as an event and still ends with [DONE]', async () => {
    const { api, logs } = testApi({
      script: function* () {
        yield [{ text: 'so far', tokenIds: [1] }];
        throw new TroupeError('engine_failed', 'The engine died too often.');
      },
    });
    const { status, text } = await call(api, CHAT, { body: { messages: HELLO, stream: true } });
    const { data } = parseSse(text);
    assert.equal(status, 200);
    assert.equal(data.at(-1), '[DONE]');
    assert.deepEqual(JSON.parse(data.at(-2) ?? ''), {
      error: { message: 'The engine died too often.', type: 'server_error', param: null, code: 'engine_failed' },
    });
    const line = logs.find(({ msg }) => msg === 'request');
    assert.deepEqual([line?.finishReason, line?.errorCode], ['error', 'engine_failed']);
  });
});
