/**
 * Wrong requests on the running server: FastDeploy's evil cases and parameter boundaries, and vLLM's validation tests. The messages
 * are those that FastDeploy's tests compare; the status is always 400, also where FastDeploy finds the fault late.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { CHAT, serverForFile, TEXT, user } from '../support/json-client.ts';
import { ASK_STORY } from '../support/mini-prompts.ts';

const client = serverForFile();
const chat = (fields: object) => ({ messages: user('Hello!'), max_tokens: 2, ...fields });
const text = (fields: object) => ({ prompt: 'Once', max_tokens: 2, ...fields });
const letters = (count: number) => Array.from({ length: count }, (_, i) => String.fromCharCode(97 + i));

type Fact = readonly [fields: object, param: string | null, message: string | RegExp, code?: string];

/** The same in both endpoints. */
const FIELDS: readonly Fact[] = [
  [{ top_p: 1.5 }, 'top_p', 'Input should be less than or equal to 1'],
  [{ top_p: -0.1 }, 'top_p', 'Input should be greater than or equal to 0'],
  [{ temperature: -1 }, 'temperature', 'Input should be greater than or equal to 0'],
  [{ temperature: 'hot' }, 'temperature', 'Input should be a valid number'],
  [{ max_tokens: 0 }, 'max_tokens', "max_tokens can be defined [1, 2048), but now it's 0."],
  [{ max_tokens: -10 }, 'max_tokens', "max_tokens can be defined [1, 2048), but now it's -10."],
  [{ max_tokens: 10.5 }, 'max_tokens', 'Input should be a valid integer, got a number with a fractional part'],
  [{ max_tokens: '10' }, 'max_tokens', 'Input should be a valid integer'],
  [{ presence_penalty: 2.1 }, 'presence_penalty', 'Input should be less than or equal to 2'],
  [{ presence_penalty: -2.1 }, 'presence_penalty', 'Input should be greater than or equal to -2'],
  [{ frequency_penalty: 2.1 }, 'frequency_penalty', 'Input should be less than or equal to 2'],
  [{ repetition_penalty: 0 }, 'repetition_penalty', 'Input should be greater than 0'],
  [{ top_k: -2 }, 'top_k', 'Input should be greater than or equal to -1'],
  [{ min_p: 1.1 }, 'min_p', 'Input should be less than or equal to 1'],
  [{ seed: -1 }, 'seed', 'Input should be greater than or equal to 0'],
  [{ n: 0 }, 'n', 'n must be at least 1'],
  [{ n: 16_384 }, 'n', 'Input should be less than or equal to 128'],
  [{ min_tokens: 5, max_tokens: 3 }, 'min_tokens', 'min_tokens (5) must not be greater than max_tokens (3).'],
  [{ stop: letters(17) }, 'stop', /exceeds the limit max_stop_seqs_num\(16\)/],
  [{ stop: 'x'.repeat(1025) }, 'stop', /exceeds the limit stop_seqs_max_len\(1024\)/],
  [{ stop: 5 }, 'stop', 'Input should be a valid string or a valid list'],
  [{ stop_token_ids: ['a'] }, 'stop_token_ids[0]', 'Input should be a valid integer'],
  [{ bad_words_token_ids: ['a'] }, 'bad_words_token_ids[0]', 'Input should be a valid integer'],
  [{ logit_bias: { 999999: 1 } }, 'logit_bias', /vocabulary/],
  [{ logit_bias: { fox: 1 } }, 'logit_bias.fox', 'Keys should be token ids'],
  [{ logits_processors_args: { logit_bias: { 5: 'x' } } }, 'logits_processors_args.logit_bias.5', 'Input should be a valid number'],
  [{ stream: 'yes' }, 'stream', 'Input should be a valid boolean'],
  [{ stream_options: {}, stream: false }, 'stream_options', 'Stream options can only be defined when `stream=True`.'],
  [{ stream_options: { include_usage: true }, stream: false }, 'stream_options', 'Stream options can only be defined when `stream=True`.'],
  [{ prompt_logprobs: -2 }, 'prompt_logprobs', 'Input should be greater than or equal to -1'],
  [{ prompt_logprobs: 21 }, 'prompt_logprobs', 'Number of prompt_logprobs requested (21) exceeds maximum allowed value (20).'],
  [{ timeout: 0 }, 'timeout', 'Input should be greater than 0'],
  [{ user: 5 }, 'user', 'Input should be a valid string'],
];

const CHAT_FIELDS: readonly Fact[] = [
  [{ messages: undefined }, 'messages', 'Field required', 'missing_required_parameter'],
  [{ messages: null }, 'messages', 'Field required', 'missing_required_parameter'],
  [{ messages: 'Hello!' }, 'messages', 'Input should be a valid list'],
  [{ messages: [] }, 'messages', 'messages must not be empty'],
  [{ messages: [{ content: 'Hello!' }] }, 'messages[0].role', 'Field required', 'missing_required_parameter'],
  [{ messages: [-1] }, 'messages[0]', 'Input should be greater than or equal to 0'],
  [{ messages: [4096] }, 'messages[0]', 'Token id 4096 is not in the vocabulary (0 to 4095).'],
  [{ messages: user([{ type: 'image_url', image_url: { url: 'http://a/b.png' } }]) }, 'messages[0].content[0].type', /text/],
  [{ top_logprobs: 3 }, 'top_logprobs', 'when using `top_logprobs`, `logprobs` must be set to true.'],
  [{ logprobs: true, top_logprobs: 21 }, 'top_logprobs', 'Number of logprobs requested (21) exceeds maximum allowed value (20).'],
  [{ logprobs: true, top_logprobs: -2 }, 'top_logprobs', 'Input should be greater than or equal to -1'],
  [{ logprobs: 5 }, 'logprobs', 'Input should be a valid boolean'],
  [{ reasoning_max_tokens: -1 }, 'reasoning_max_tokens', 'Input should be greater than or equal to 0'],
  [{ reasoning_effort: 'huge' }, 'reasoning_effort', /none, minimal, low, medium, high/],
  [{ chat_template_kwargs: 3 }, 'chat_template_kwargs', 'Input should be a valid dictionary'],
  [{ chat_template: '{% if' }, 'chat_template', /a tag is not closed/],
  [{ chat_template: '{{ nope() }}' }, 'chat_template', /'nope' is undefined/],
  [{ tool_choice: 'auto' }, 'tool_choice', 'When using `tool_choice`, `tools` must be set.'],
  [{ metadata: { min_tokens: 'x' } }, 'metadata.min_tokens', 'Input should be a valid integer'],
  [{ max_completion_tokens: 0 }, 'max_completion_tokens', "max_tokens can be defined [1, 2048), but now it's 0."],
  [{ suffix: 'the end' }, 'suffix', /does not support/, 'unsupported_parameter'],
  [{ functions: [{ name: 'f' }] }, 'functions', /use `tools`/, 'unsupported_parameter'],
];

const TEXT_FIELDS: readonly Fact[] = [
  [{ prompt: undefined }, 'prompt', 'Field required', 'missing_required_parameter'],
  [{ prompt: '' }, 'prompt', 'The prompt must contain at least one token.'],
  [{ prompt: [] }, 'prompt', 'List should have at least 1 item after validation, not 0'],
  [{ prompt: [[]] }, 'prompt[0]', 'List should have at least 1 item after validation, not 0'],
  [{ prompt: ['Once', 1] }, 'prompt', 'If prompt is a list, each item type must be one of: str, list[int]'],
  [{ prompt: [[1], 'Once'] }, 'prompt', 'If prompt is a list, each item type must be one of: str, list[int]'],
  [{ prompt: 5 }, 'prompt', 'Input should be a valid string or a valid list'],
  [{ prompt: [-1] }, 'prompt[0]', 'Input should be greater than or equal to 0'],
  [{ prompt: [[1], [4096]] }, 'prompt[1][0]', 'Token id 4096 is not in the vocabulary (0 to 4095).'],
  [{ prompt_token_ids: [] }, 'prompt_token_ids', 'List should have at least 1 item after validation, not 0'],
  [{ prompt: Array(1025).fill('a') }, 'prompt', /more than 1024 choices/],
  [{ logprobs: 21 }, 'logprobs', 'Number of logprobs requested (21) exceeds maximum allowed value (20).'],
  [{ logprobs: -2 }, 'logprobs', 'Input should be greater than or equal to -1'],
  [{ best_of: 2, n: 3 }, 'best_of', '`best_of` must not be less than `n`.'],
  [{ best_of: 2, stream: true }, 'best_of', /cannot be streamed/],
  [{ suffix: 'the end' }, 'suffix', /valid dictionary/],
  [{ suffix: { top_p: 1.5 } }, 'top_p', 'Input should be less than or equal to 1'],
];

/** What an error must never tell: where the code lies, and how it came there. */
const INTERNALS = /\n\s+at |\.[jt]s\b|node_modules|file:\/\/|\/home\/|Traceback|undefined \(reading/;

function shown(fields: object): string {
  const json = JSON.stringify(fields, (_, value) => (value === undefined ? '(absent)' : value));
  return json.length > 90 ? `${json.slice(0, 90)}…` : json;
}

for (const [path, bodyOf, facts] of [
  [CHAT, chat, [...FIELDS, ...CHAT_FIELDS]],
  [TEXT, text, [...FIELDS, ...TEXT_FIELDS]],
] as const) {
  describe(`${path} is a 400 for`, () => {
    for (const [fields, param, message, code = 'invalid_value'] of facts) {
      it(`${shown(fields)}, streaming or not`, async () => {
        for (const stream of new Set([false, true].map((on) => ('stream' in fields ? (fields.stream as boolean) : on)))) {
          const error = await client.refusal(path, { ...bodyOf(fields), stream });
          assert.deepEqual(Object.keys(error), ['message', 'type', 'param', 'code']);
          assert.deepEqual([error.type, error.param, error.code], ['invalid_request_error', param, code]);
          if (typeof message === 'string') assert.equal(error.message, message);
          else assert.match(error.message, message);
          assert.doesNotMatch(error.message, INTERNALS);
        }
      });
    }
  });
}

describe('a body that is no JSON object', () => {
  for (const body of ['', '[]', '"text"', '5', 'null', '{"messages": [', '{bad']) {
    it(`is a 400: ${JSON.stringify(body)}`, async () => {
      for (const path of [CHAT, TEXT, '/v1/embeddings', '/v1/responses', '/tokenize']) {
        const error = await client.refusal(path, body);
        assert.deepEqual([error.type, error.param], ['invalid_request_error', null]);
        assert.match(error.message, /^The request body (must be a JSON object|is not valid JSON)/);
      }
    });
  }
});

describe('a prompt that is too long', () => {
  it('is a 400 in the words of FastDeploy and of OpenAI, with the code of OpenAI', async () => {
    const long = 'word '.repeat(4000);
    for (const [path, body] of [
      [CHAT, chat({ messages: user(long) })],
      [TEXT, text({ prompt: long })],
      [CHAT, chat({ messages: Array(2048).fill(5) })],
    ] as const) {
      const error = await client.refusal(path, body);
      assert.equal(error.code, 'context_length_exceeded');
      assert.match(error.message, /^Input text is too long\. This model's maximum context length is 2048 tokens, /);
    }
  });
});

describe('answered like any other are', () => {
  const answered: readonly (readonly [what: string, fields: object])[] = [
    ['unknown fields', { foo: { bar: 1 }, beam_width: 3 }],
    ['nulls, which mean absent', { n: null, stop: null, metadata: null, seed: null, top_p: null, tools: null, stream_options: null }],
    ['any name of the model, an empty one too', { model: '' }],
    ['a model of symbols', { model: '@#$%^&*()' }],
    ['an empty stop text', { stop: '' }],
    ['stops of line breaks and symbols', { stop: ['\n\n', '】', '$^', '\\'] }],
    ['max_tokens far beyond the context', { max_tokens: 10_000_000, stop: ['!'] }],
    ['the bounds of the penalties', { presence_penalty: -2, frequency_penalty: 2 }],
    ['the bounds of top_p and temperature', { top_p: 0, temperature: 0 }],
    ['the largest seed', { seed: Number('922337203685477580') }],
    ['fields of other servers that ask for nothing', { functions: [], audio: null, use_beam_search: false, mm_hashes: [] }],
  ];
  for (const [what, fields] of answered) {
    it(what, async () => {
      await client.ask(CHAT, chat(fields));
      await client.ask(TEXT, text(fields));
    });
  }

  it('messages of a role of one’s own, without content, and of text parts', async () => {
    await client.ask(CHAT, chat({ messages: [{ role: 'wizard', content: 'Hello!' }] }));
    await client.ask(CHAT, chat({ messages: [{ role: 'user' }] }));
    const parts = [
      { type: 'text', text: 'Tell me a story ' },
      { type: 'text', text: 'about a fox.' },
    ];
    const [whole, inParts] = [ASK_STORY, parts].map((content) => client.ask(CHAT, chat({ messages: user(content), temperature: 0 })));
    assert.deepEqual((await inParts).usage.completion_tokens, (await whole).usage.completion_tokens);
  });
});

describe('a request', () => {
  it('is read whatever its content type says, with a query after its path, and the last of two equal members counts', async () => {
    const body = JSON.stringify(chat({}));
    for (const type of ['application/json; charset=utf-8', 'text/plain', 'application/x-www-form-urlencoded']) {
      const reply = await fetch(`${client.server.url}${CHAT}?api-version=1`, { method: 'POST', headers: { 'content-type': type }, body });
      assert.equal(reply.status, 200, await reply.text());
    }
    const twice = `{"max_tokens": 9, ${body.slice(1)}`;
    assert.equal((await client.ask(CHAT, twice)).usage.completion_tokens, 2);
  });

  it('with a compressed body is a 400 that says so', async () => {
    const compressed = gzipSync(JSON.stringify(chat({})));
    const reply = await fetch(client.server.url + CHAT, { method: 'POST', headers: { 'content-encoding': 'gzip' }, body: compressed });
    assert.equal(reply.status, 400);
    assert.match(await reply.text(), /compressed bodies are not taken/);
  });
});

describe('the paths', () => {
  it('that are not there are 404, and with another method 405 that tells the right ones', async () => {
    const unknown = await client.get('/v1/nothing');
    assert.deepEqual([unknown.status, JSON.parse(unknown.text).error.code], [404, 'not_found']);
    const wrong = await client.get(CHAT);
    assert.deepEqual([wrong.status, JSON.parse(wrong.text).error.code], [405, 'method_not_allowed']);
    assert.match(wrong.headers.get('allow') ?? '', /POST/);
  });
});
