import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LongTextEncoder } from '../../src/actors/long-text-encoder.ts';
import { type ModelText, prepareRequest } from '../../src/actors/prepare-request.ts';
import { TroupeError } from '../../src/core/errors.ts';
import type { ChatMessage, GenerateRequest, Prompt } from '../../src/core/generation.ts';
import { ChatTemplate } from '../../src/text/chat-template.ts';
import { testTokenizer } from '../support/cluster.ts';
import { generateRequest } from '../support/generate.ts';
import { MINI_DIR } from '../support/mini-server.ts';

const mini = (overrides: Partial<ModelText> = {}): ModelText => ({
  tokenizer: testTokenizer(),
  chatTemplate: ChatTemplate.load(MINI_DIR),
  maxModelLen: 512,
  vocabSize: 4096,
  defaults: { temperature: 0.6, topK: 20, topP: 0.95 },
  eosTokenIds: [2, 0],
  ...overrides,
});

interface GoldenCase {
  readonly messages?: readonly ChatMessage[];
  readonly prompt?: string;
  readonly tools?: readonly unknown[];
  readonly kwargs?: Readonly<Record<string, unknown>>;
  readonly prompt_token_ids: readonly number[];
}
const golden = JSON.parse(readFileSync(join(MINI_DIR, 'golden.json'), 'utf8')) as { readonly cases: readonly GoldenCase[] };

test('messages and prompts of the golden cases become their prompt token ids', async () => {
  const cases = golden.cases.filter((entry) => !entry.tools);
  assert.ok(cases.some((entry) => entry.kwargs) && cases.some((entry) => entry.messages));
  for (const { messages, prompt: text = '', kwargs: templateKwargs = {}, prompt_token_ids } of cases) {
    const chat = { type: 'chat', addGenerationPrompt: true, continueFinalMessage: false, templateKwargs } as const;
    const prompt = messages ? ({ ...chat, messages } as const) : ({ type: 'text', text } as const);
    const { promptIds } = await prepareRequest(generateRequest({ prompt }), mini());
    assert.deepEqual(promptIds, prompt_token_ids);
  }
});

test("generation_config's values hold unless the request says otherwise", async () => {
  const { params } = await prepareRequest(generateRequest({ sampling: { topK: 3, temperature: undefined as never } }), mini());
  assert.deepEqual([params.temperature, params.topK, params.topP, params.minP], [0.6, 3, 0.95, 0]);
  const bare = await prepareRequest(generateRequest({ sampling: {} }), mini({ defaults: { maxNewTokens: 40 } }));
  assert.deepEqual([bare.params.topK, bare.params.topP], [0, 1], 'absent everywhere is neutral');
});

test('max tokens default to what fits, and more than fits is cut', async () => {
  const tokens = async (sampling: { maxTokens?: number }, model = mini()) => {
    const request = { ...generateRequest(), sampling };
    return (await prepareRequest(request, model)).params.maxTokens;
  };
  assert.equal(await tokens({}), 508);
  assert.equal(await tokens({ maxTokens: 9 }), 9);
  assert.equal(await tokens({ maxTokens: 9999 }), 508);
  assert.equal(await tokens({}, mini({ defaults: { maxNewTokens: 40 } })), 40);
});

test("stop ids are the end-of-sequence ids and the request's own, or only the latter with ignoreEos", async () => {
  const stops = async (ignoreEos: boolean) =>
    (await prepareRequest(generateRequest({ ignoreEos, stopTokenIds: [7, 2] }), mini())).params.stopTokenIds;
  assert.deepEqual(await stops(false), [2, 0, 7]);
  assert.deepEqual(await stops(true), [7, 2]);
});

test('bad words are banned as ids, with and without a space before them', async () => {
  const { params } = await prepareRequest(generateRequest({ badWords: ['story'], badWordsTokenIds: [9] }), mini());
  assert.deepEqual(params.badWords.at(-1), [9]);
  const texts = params.badWords.slice(0, -1).map((ids) => testTokenizer().decode(ids));
  assert.ok(texts.includes('story'));
});

test('a long prompt is encoded in a thread, to the same ids', async (t) => {
  const encoder = new LongTextEncoder(MINI_DIR);
  t.after(() => encoder.close());
  const texts: string[] = [];
  const longTexts = {
    encode: (text: string, options: { readonly addSpecialTokens: boolean }) => {
      texts.push(text);
      return encoder.encode(text, options);
    },
  };
  const prepare = (text: string, model: ModelText) => prepareRequest(generateRequest({ prompt: { type: 'text', text } }), model);
  const long = 'Tell me a story about a fox and 17 hens. '.repeat(500);
  const model = mini({ maxModelLen: 100_000, longTexts });
  const [threaded, direct] = [await prepare(long, model), await prepare(long, mini({ maxModelLen: 100_000 }))];
  assert.deepEqual(threaded.promptIds, direct.promptIds);
  await prepare('short', model);
  assert.deepEqual(texts, [long]);
});

test('an encoder thread that cannot start fails its texts with an error that names no file to the client', async () => {
  const encoder = new LongTextEncoder(join(MINI_DIR, 'nowhere'));
  await assert.rejects(encoder.encode('text', { addSpecialTokens: false }), {
    name: 'TroupeError',
    code: 'internal_error',
    message: 'The prompt could not be encoded.',
  });
});

const isRefusal = (code: string, param: string, message: RegExp) => (error: unknown) =>
  error instanceof TroupeError && error.code === code && error.param === param && message.test(error.message);

test('ids outside the vocabulary are refused by the field that they came in', async () => {
  const refuses = (overrides: Partial<GenerateRequest>, param: string) =>
    assert.rejects(prepareRequest(generateRequest(overrides), mini()), isRefusal('invalid_request', param, /vocabulary \(0 to 4095\)/));
  const tokenIds = [1, 2, 4096];
  await refuses({ prompt: { type: 'tokens', tokenIds } }, 'prompt[2]');
  await refuses({ prompt: { type: 'tokens', param: 'prompt[1]', tokenIds } }, 'prompt[1][2]');
  await refuses({ prompt: { type: 'tokens', param: 'prompt_token_ids', tokenIds } }, 'prompt_token_ids[2]');
  await refuses({ prompt: { type: 'tokens', param: 'messages', tokenIds } }, 'messages[2]');
  await refuses({ stopTokenIds: [4095, 4096] }, 'stop_token_ids');
  await refuses({ badWordsTokenIds: [4096] }, 'bad_words_token_ids');
  await refuses({ sampling: { logitBias: [[4096, 1]] } }, 'logit_bias');
});

test('a text that cannot fit is refused before it is encoded, one that might is encoded', async () => {
  const encoded: number[] = [];
  const longTexts = {
    encode: async (text: string) => {
      encoded.push(text.length);
      return [5];
    },
  };
  const { maxCharsPerToken } = testTokenizer();
  assert.ok(Number.isFinite(maxCharsPerToken), 'troupe-mini drops no text');
  const prepare = (numChars: number, prompt: Partial<Prompt> = {}) => {
    const text = 'x'.repeat(numChars);
    return prepareRequest(generateRequest({ prompt: { type: 'text', text, ...prompt } as Prompt }), mini({ longTexts }));
  };
  const limit = 511 * maxCharsPerToken;
  await prepare(limit);
  await assert.rejects(
    prepare(limit + 1),
    isRefusal('context_length_exceeded', 'prompt', /maximum context length is 512 tokens.*at least 512 tokens/),
  );
  await assert.rejects(
    prepare(30_000_000, { param: 'prompt[3]' }),
    isRefusal('context_length_exceeded', 'prompt[3]', /30000000 characters/),
  );
  assert.deepEqual(encoded, [limit]);
});

const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}";
const PARTS = "{% for message in messages %}{% for part in message.content %}[{{ part['text'] }}]{% endfor %}{% endfor %}";

test('text parts are one string for a template that knows strings only, and parts for one that reads them', async () => {
  const content = ['one', 'two'].map((text) => ({ type: 'text', text }));
  const promptText = async (source: string) => {
    const chat = { type: 'chat', addGenerationPrompt: false, continueFinalMessage: false, templateKwargs: {} } as const;
    const request = generateRequest({ prompt: { ...chat, messages: [{ role: 'user', content }] } });
    return testTokenizer().decode((await prepareRequest(request, mini({ chatTemplate: new ChatTemplate(source) }))).promptIds);
  };
  assert.equal(await promptText(CHATML), '<|im_start|>user\none\ntwo<|im_end|>\n');
  assert.equal(await promptText(PARTS), '[one][two]');
});

test('tokens to be continued follow the prompt, in ids and in text, and count for its length', async () => {
  const prompt = { type: 'chat', messages: [{ role: 'user', content: 'Hi' }], addGenerationPrompt: true } as const;
  const request = (continuationIds: readonly number[]) =>
    generateRequest({ prompt: { ...prompt, continueFinalMessage: false, templateKwargs: {} }, continuationIds });
  const plain = await prepareRequest(request([]), mini());
  const ids = testTokenizer().encode('Hello, I');
  const continued = await prepareRequest(request(ids), mini());
  assert.deepEqual(continued.promptIds, [...plain.promptIds, ...ids]);
  assert.equal(continued.promptText(), `${plain.promptText()}Hello, I`);
  await assert.rejects(prepareRequest(request([4096]), mini()), { code: 'invalid_request', param: 'completion_token_ids' });
  const tooMany = new Array<number>(512).fill(5);
  await assert.rejects(prepareRequest(request(tooMany), mini()), { code: 'context_length_exceeded' });
});

test('a prompt that may be cut keeps its last tokens, whatever its length', async () => {
  const tokenIds = Array.from({ length: 2000 }, (_, i) => i);
  const kept = async (truncatePromptTokens: number, sampling: { maxTokens?: number }, prompt: Prompt = { type: 'tokens', tokenIds }) =>
    prepareRequest({ ...generateRequest({ prompt, truncatePromptTokens }), sampling }, mini());
  const seven = await kept(7, {});
  assert.deepEqual(seven.promptIds, tokenIds.slice(-7));
  assert.equal(seven.promptText(), testTokenizer().decode(tokenIds.slice(-7)));
  assert.equal((await kept(-1, {})).promptIds.length, 511);
  assert.equal((await kept(-1, { maxTokens: 100 })).promptIds.length, 412, 'room for what is asked for');
  assert.equal((await kept(-1, { maxTokens: 9999 })).promptIds.length, 1);
  const text = Array.from({ length: 60_000 }, (_, i) => `word${i % 97}`).join(' ');
  const all = testTokenizer().encode(text);
  assert.deepEqual((await kept(20, {}, { type: 'text', text })).promptIds, all.slice(-20), 'as if all of it had been encoded');
  assert.deepEqual((await kept(9, {}, { type: 'text', text: 'Hi' })).promptIds, testTokenizer().encode('Hi'), 'a short one stays');
});

test('a length that a prompt cannot be cut to is refused', async () => {
  for (const truncatePromptTokens of [0, -2, 1.5, 512]) {
    await assert.rejects(prepareRequest(generateRequest({ truncatePromptTokens }), mini()), {
      code: 'invalid_request',
      param: 'truncate_prompt_tokens',
    });
  }
});

test("a request's own template replaces the model's, also where the model has none", async () => {
  const chat = { type: 'chat', addGenerationPrompt: true, continueFinalMessage: false, templateKwargs: { mood: 'glad' } } as const;
  const messages = [{ role: 'user', content: 'Hi' }];
  const chatTemplate = '{% for m in messages %}[{{ m.role }}|{{ mood }}|{{ m.content }}]{% endfor %}';
  for (const model of [mini(), mini({ chatTemplate: null })]) {
    const { promptText } = await prepareRequest(generateRequest({ prompt: { ...chat, messages, chatTemplate } }), model);
    assert.equal(promptText(), '[user|glad|Hi]');
  }
});

test("a request's template that is wrong, fails or does not come to an end is refused by name, within a moment", async () => {
  const chat = { type: 'chat', addGenerationPrompt: true, continueFinalMessage: false, templateKwargs: {} } as const;
  const messages = [{ role: 'user', content: 'x'.repeat(60_000) }];
  const hostile = [
    '{% for',
    '{{ nobody.home }}',
    '{{ raise_exception("no") }}',
    `{{ ${'('.repeat(20_000)}1${')'.repeat(20_000)} }}`,
    ' '.repeat(70_000),
    '{% for a in range(100000) %}{% for b in range(100000) %}{% set c = 1 %}{% endfor %}{% endfor %}',
    '{% set n = namespace(x="ab") %}{% for a in range(90) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x }}',
    '{% set n = namespace(x=[1]) %}{% for a in range(90) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x|tojson }}',
    '{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(90) }}',
    '{{ "a" * 500000000 }}',
    '{{ "%400000000d" % 1 }}',
    '{{ messages[0].content.replace("x", messages[0].content) }}',
    '{{ range(100000)|unique|list|length }}',
    '{% for a in range(100000) %}{{ messages[0].content|title }}{% endfor %}',
    '{{ ("1" * 1000000)|float }}',
  ];
  for (const chatTemplate of hostile) {
    await assert.rejects(prepareRequest(generateRequest({ prompt: { ...chat, messages, chatTemplate } }), mini()), {
      code: 'invalid_request',
      param: 'chat_template',
    });
  }
});

test("the server's kind of log-probabilities goes with each request, beside the request's own switches", async () => {
  const logprobsMode = { tempScaled: true, topPNormalized: false };
  const request = generateRequest({ sampling: { logprobs: 1, logprobsMode } });
  assert.deepEqual((await prepareRequest(request, mini())).params.logprobsMode, logprobsMode);
  const { params } = await prepareRequest(request, mini({ logprobsKind: 'processed_logits' }));
  assert.deepEqual(params.logprobsMode, { ...logprobsMode, kind: 'processed_logits' });
});

test('limits on thinking are told in ids, with what closes it and whether the prompt opened it', async () => {
  const ids = (text: string) => testTokenizer().encode(text);
  const limits = async (isThinking: boolean, fields: Partial<GenerateRequest>) => {
    const templateKwargs = { enable_thinking: isThinking };
    const prompt = {
      type: 'chat',
      messages: [{ role: 'user', content: 'Hi' }],
      addGenerationPrompt: true,
      continueFinalMessage: false,
    } as const;
    return (await prepareRequest(generateRequest({ prompt: { ...prompt, templateKwargs }, parseReasoning: true, ...fields }), mini()))
      .params.thinking;
  };
  assert.equal(await limits(true, {}), null);
  const told = {
    isOpen: true,
    startIds: ids('<think>'),
    endIds: ids('</think>'),
    maxTokens: 7,
    forcedIds: ids('\n</think>\n\n'),
    maxAnswerTokens: 9,
  };
  assert.equal(told.endIds.length, 1);
  assert.deepEqual(await limits(true, { reasoningMaxTokens: 7, responseMaxTokens: 9 }), told);
  assert.deepEqual(await limits(false, { reasoningMaxTokens: 7, responseMaxTokens: 9 }), { ...told, isOpen: false });
  const constrained = await limits(true, { reasoningMaxTokens: 0, constraint: { type: 'json_object', param: 'response_format' } });
  assert.deepEqual(constrained?.forcedIds, ids('</think>'), 'what follows is up to the constraint');
});

test('the log-probabilities of a prompt are told by every choice, and have a limit together', async () => {
  const tokenIds = Array.from({ length: 500 }, () => 300);
  const asked = (n: number, promptLogprobs: number) =>
    prepareRequest(generateRequest({ prompt: { type: 'tokens', tokenIds }, n, sampling: { promptLogprobs, maxTokens: 1 } }), mini());
  await asked(50, 19);
  await assert.rejects(asked(51, 19), { code: 'invalid_request', param: 'prompt_logprobs' });
  await assert.rejects(asked(1, -1), { code: 'invalid_request', param: 'prompt_logprobs' });
});
