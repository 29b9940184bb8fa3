import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CHAT, COMPLETIONS, call, HELLO, testApi } from '../support/api-client.ts';

const chat = (fields: object) => ({ messages: HELLO, ...fields });
const text = (fields: object) => ({ prompt: 'x', ...fields });

/** Endpoint, body, `param`, and what the message says. */
const REFUSED: readonly [string, unknown, string | null, RegExp][] = [
  [CHAT, {}, 'messages', /^Field required$/],
  [CHAT, { messages: 'Hello' }, 'messages', /^Input should be a valid list$/],
  [CHAT, { messages: [] }, 'messages', /must not be empty/],
  [CHAT, { messages: ['Hello'] }, 'messages[0]', /valid dictionary/],
  [CHAT, { messages: [...HELLO, {}] }, 'messages[1].role', /^Field required$/],
  [CHAT, { messages: [{ role: 5 }] }, 'messages[0].role', /valid string/],
  [CHAT, { messages: [{ role: 'user', content: 5 }] }, 'messages[0].content', /valid string or a list/],
  [
    CHAT,
    { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] },
    'messages[0].content[0].type',
    /Only parts of type "text"/,
  ],
  [CHAT, { messages: [{ role: 'user', content: [{ type: 'text' }] }] }, 'messages[0].content[0].text', /valid string/],
  [CHAT, { messages: [1, -2] }, 'messages[1]', /greater than or equal to 0/],
  [CHAT, chat({ temperature: -0.1 }), 'temperature', /^Input should be greater than or equal to 0$/],
  [CHAT, chat({ temperature: true }), 'temperature', /valid number/],
  [CHAT, chat({ temperature: '1' }), 'temperature', /valid number/],
  [CHAT, `{"messages":[{"role":"user"}],"temperature":1e999}`, 'temperature', /finite/],
  [CHAT, `{"messages":[{"role":"user"}],"temperature":NaN}`, 'temperature', /finite/],
  [CHAT, chat({ top_p: 1.5 }), 'top_p', /^Input should be less than or equal to 1$/],
  [CHAT, chat({ top_k: -2 }), 'top_k', /greater than or equal to -1/],
  [CHAT, chat({ top_k: 1.5 }), 'top_k', /fractional part/],
  [CHAT, chat({ min_p: 2 }), 'min_p', /less than or equal to 1/],
  [CHAT, chat({ presence_penalty: 2.1 }), 'presence_penalty', /less than or equal to 2/],
  [CHAT, chat({ frequency_penalty: -2.1 }), 'frequency_penalty', /greater than or equal to -2/],
  [CHAT, chat({ repetition_penalty: 0 }), 'repetition_penalty', /^Input should be greater than 0$/],
  [CHAT, chat({ max_tokens: 10.5 }), 'max_tokens', /^Input should be a valid integer, got a number with a fractional part$/],
  [CHAT, chat({ max_tokens: 0 }), 'max_tokens', /^max_tokens can be defined \[1, 2048\), but now it's 0\.$/],
  [CHAT, chat({ max_completion_tokens: -10 }), 'max_completion_tokens', /max_tokens can be defined \[1, 2048\)/],
  [CHAT, chat({ max_tokens: true }), 'max_tokens', /valid integer/],
  [CHAT, chat({ min_tokens: 5, max_tokens: 4 }), 'min_tokens', /must not be greater than max_tokens/],
  [CHAT, chat({ n: 0 }), 'n', /^n must be at least 1$/],
  [CHAT, chat({ n: 1000 }), 'n', /less than or equal to 128/],
  [CHAT, chat({ seed: -1 }), 'seed', /greater than or equal to 0/],
  [CHAT, chat({ seed: 1e19 }), 'seed', /less than or equal/],
  [CHAT, chat({ stop: 5 }), 'stop', /valid string or a valid list/],
  [CHAT, chat({ stop: ['a', 5] }), 'stop[1]', /valid string/],
  [CHAT, chat({ stop: Array(17).fill('x') }), 'stop', /max_stop_seqs_num\(16\)/],
  [CHAT, chat({ stop: 'x'.repeat(2000) }), 'stop', /stop_seqs_max_len\(1024\)/],
  [CHAT, chat({ stop_token_ids: [1, 'a'] }), 'stop_token_ids[1]', /valid integer/],
  [CHAT, chat({ bad_words: 'no' }), 'bad_words', /valid list/],
  [CHAT, chat({ bad_words_token_ids: [0.5] }), 'bad_words_token_ids[0]', /fractional/],
  [CHAT, chat({ logit_bias: { a: 1 } }), 'logit_bias.a', /token ids/],
  [CHAT, chat({ logit_bias: { 1: 101 } }), 'logit_bias.1', /less than or equal to 100/],
  [CHAT, chat({ logit_bias: [] }), 'logit_bias', /valid dictionary/],
  [CHAT, chat({ stream: 'yes' }), 'stream', /valid boolean/],
  [CHAT, chat({ stream_options: {} }), 'stream_options', /^Stream options can only be defined when `stream=True`\.$/],
  [CHAT, chat({ stream: true, stream_options: { include_usage: 1 } }), 'stream_options.include_usage', /valid boolean/],
  [CHAT, chat({ logprobs: 3 }), 'logprobs', /valid boolean/],
  [CHAT, chat({ top_logprobs: 3 }), 'top_logprobs', /^when using `top_logprobs`, `logprobs` must be set to true\.$/],
  [
    CHAT,
    chat({ logprobs: true, top_logprobs: 21 }),
    'top_logprobs',
    /^Number of logprobs requested \(21\) exceeds maximum allowed value \(20\)\.$/,
  ],
  [CHAT, chat({ logprobs: true, top_logprobs: -2 }), 'top_logprobs', /greater than or equal to -1/],
  [
    CHAT,
    chat({ logprobs: true, top_logprobs: -1 }),
    'top_logprobs',
    /^Number of logprobs requested \(-1\) exceeds maximum allowed value \(20\)\.$/,
  ],
  [CHAT, chat({ continue_final_message: true, add_generation_prompt: true }), 'continue_final_message', /Cannot set both/],
  [CHAT, chat({ chat_template_kwargs: 'x' }), 'chat_template_kwargs', /valid dictionary/],
  [CHAT, chat({ metadata: 'x' }), 'metadata', /valid dictionary/],
  [CHAT, chat({ user: 5 }), 'user', /valid string/],
  [CHAT, chat({ prompt_token_ids: [1.5] }), 'prompt_token_ids[0]', /fractional/],
  [COMPLETIONS, {}, 'prompt', /^Field required$/],
  [COMPLETIONS, { prompt: [] }, 'prompt', /at least 1 item/],
  [COMPLETIONS, { prompt: [1, 'a'] }, 'prompt', /each item type must be one of: str, list\[int\]/],
  [COMPLETIONS, { prompt: [[1], []] }, 'prompt[1]', /at least 1 item/],
  [COMPLETIONS, { prompt: [[1], [-5]] }, 'prompt[1][0]', /greater than or equal to 0/],
  [COMPLETIONS, { prompt: 5 }, 'prompt', /valid string or a valid list/],
  [COMPLETIONS, text({ logprobs: true }), 'logprobs', /valid integer/],
  [COMPLETIONS, text({ logprobs: 21 }), 'logprobs', /exceeds maximum/],
  [COMPLETIONS, { prompt: Array(20).fill('x'), n: 100 }, 'prompt', /more than 1024 choices/],
  [CHAT, 'not json', null, /not valid JSON/],
  [CHAT, '', null, /not valid JSON/],
  [CHAT, '[]', null, /must be a JSON object/],
  [CHAT, 'null', null, /must be a JSON object/],
];

/** What this server does not have: a value that asks for something, and those that do not. */
const UNSUPPORTED: readonly [string, string, unknown, readonly unknown[]][] = [
  [CHAT, 'functions', [{ name: 'f' }], [[], null]],
  [CHAT, 'function_call', { name: 'f' }, ['none', 'auto', null]],
  [CHAT, 'modalities', ['text', 'audio'], [['text']]],
  [CHAT, 'audio', { voice: 'x' }, [null]],
  [CHAT, 'web_search_options', {}, [null]],
  [CHAT, 'best_of', 2, [1]],
  [CHAT, 'suffix', 'x', ['', {}, null]],
  [CHAT, 'add_special_tokens', true, [false]],
  [CHAT, 'mm_hashes', ['a'], [[]]],
  [CHAT, 'use_beam_search', true, [false]],
  [COMPLETIONS, 'use_beam_search', true, [false, null]],
  [COMPLETIONS, 'length_penalty', 2, [1]],
  [COMPLETIONS, 'allowed_token_ids', [1], [[]]],
  [COMPLETIONS, 'disaggregate_info', { a: 1 }, [{}, null]],
];

describe('bad input', () => {
  for (const [path, body, param, message] of REFUSED) {
    const shown = (typeof body === 'string' ? body : JSON.stringify(body)).slice(0, 70);
    it(`${path} ${shown} is a 400 for ${param}`, async () => {
      const { api, generator } = testApi();
      const { status, json } = await call(api, path, { body });
      assert.equal(status, 400);
      assert.deepEqual(Object.keys(json.error), ['message', 'type', 'param', 'code']);
      assert.equal(json.error.type, 'invalid_request_error');
      assert.equal(json.error.param, param);
      assert.match(json.error.message, message);
      assert.equal(json.error.code, json.error.message === 'Field required' ? 'missing_required_parameter' : 'invalid_value');
      assert.equal(generator.runs.length, 0);
    });
  }

  it('that is not UTF-8 is a 400', async () => {
    const { api } = testApi();
    const body = Buffer.from([0x7b, 0xff, 0x7d]);
    const reply = await api.handle({ method: 'POST', path: CHAT, headers: {}, body, signal: new AbortController().signal });
    assert.equal(reply.status, 400);
  });

  it('that is too long is a 413, whether the server kept it or not', async () => {
    const { api } = testApi({ maxBodyBytes: 100 });
    assert.equal((await call(api, CHAT, { body: { messages: HELLO, user: 'x'.repeat(100) } })).status, 413);
    const request = { method: 'POST', path: CHAT, headers: {}, body: null, signal: new AbortController().signal };
    assert.equal((await api.handle(request)).status, 413);
  });

  it('with log-probabilities switched off is a 400', async () => {
    const { api } = testApi({ enableLogprob: false });
    for (const [path, body] of [
      [CHAT, chat({ logprobs: true })],
      [COMPLETIONS, text({ logprobs: 0 })],
    ] as const) {
      const { status, json } = await call(api, path, { body });
      assert.deepEqual(
        [status, json.error.param, json.error.message],
        [400, 'logprobs', 'Logprobs is disabled, please enable it in startup config.'],
      );
    }
    assert.equal((await call(api, CHAT, { body: chat({ logprobs: false }) })).status, 200);
  });
});

describe('a field that this server does not have', () => {
  for (const [path, field, value, neutral] of UNSUPPORTED) {
    it(`${path} ${field} is refused by name, and accepted when it asks for nothing`, async () => {
      const { api } = testApi();
      const base = path === CHAT ? chat({}) : text({});
      const { status, json } = await call(api, path, { body: { ...base, [field]: value } });
      assert.deepEqual([status, json.error.param, json.error.code], [400, field, 'unsupported_parameter']);
      for (const harmless of neutral) {
        assert.equal((await call(api, path, { body: { ...base, [field]: harmless } })).status, 200, JSON.stringify(harmless));
      }
    });
  }
});

describe('lenience', () => {
  it('ignores unknown fields, and null means absent', async () => {
    const { api } = testApi();
    const nulls = Object.fromEntries(
      [
        'n',
        'stop',
        'stream',
        'stream_options',
        'metadata',
        'logprobs',
        'top_logprobs',
        'max_tokens',
        'seed',
        'logit_bias',
        'user',
        'model',
      ].map((field) => [field, null]),
    );
    assert.equal((await call(api, CHAT, { body: chat({ ...nulls, something_else: { a: 1 }, parallel_tool_calls: true }) })).status, 200);
  });

  it('accepts the trailing comma of the curl example', async () => {
    const { api } = testApi();
    const body = '{\n"messages": [\n{"role": "user", "content": "Hello!"}\n],\n"logprobs": true, "top_logprobs": 0,\n}';
    assert.equal((await call(api, CHAT, { body })).status, 200);
  });

  it('keeps an empty stop string from stopping anything', async () => {
    const { api, generator } = testApi();
    await call(api, CHAT, { body: chat({ stop: '' }) });
    await call(api, CHAT, { body: chat({ stop: ['', '\n'] }) });
    assert.deepEqual(
      generator.requests.map(({ stop }) => stop),
      [[], ['\n']],
    );
  });
});
