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
