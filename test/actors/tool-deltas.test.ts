import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChoiceOutput, mergeDeltas } from '../../src/actors/choice-output.ts';
import { prepareRequest } from '../../src/actors/prepare-request.ts';
import { toolCallIds } from '../../src/actors/tool-call-ids.ts';
import type { FinishReason, TextDelta, ToolUse } from '../../src/core/generation.ts';
import { ChatTemplate } from '../../src/text/chat-template.ts';
import { ChoiceText } from '../../src/text/choice-text.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import { generateRequest } from '../support/generate.ts';
import { MINI_DIR, readJson, tokenizerOf } from '../support/text-fixtures.ts';
import { TOOLS } from '../support/tool-calls.ts';

const MINI = tokenizerOf('troupe-mini');
const TEMPLATE = ChatTemplate.load(MINI_DIR)!;
const CALL = '<tool_call>\n{"name": "f", "arguments": {"city": "Lima"}}\n</tool_call>';

interface RunOptions {
  readonly tokenizer?: Tokenizer;
  readonly tools?: ToolUse;
  readonly finish?: FinishReason;
}

/** The deltas of a reply with this text, a token at a time, through what prepareRequest chose. */
async function deltasOf(text: string, { tokenizer = MINI, tools = TOOLS, finish = 'stop' }: RunOptions = {}): Promise<TextDelta[]> {
  const request = generateRequest({ prompt: { type: 'text', text: 'Hi' }, tools });
  const model = { tokenizer, chatTemplate: TEMPLATE, maxModelLen: 512, vocabSize: tokenizer.vocabSize, defaults: {}, eosTokenIds: [2] };
  const prepared = await prepareRequest(request, model);
  const output = new ChoiceOutput({
    index: 0,
    text: new ChoiceText({
      tokenizer,
      skipSpecialTokens: true,
      stop: [],
      includeStopStrInOutput: false,
      reasoning: null,
      tools: prepared.tools!.newParser(),
      shownTokenIds: prepared.shownTokenIds,
      stopTokenIds: new Set([2]),
    }),
    tokens: tokenizer,
    wantTokenIds: false,
    wantLogprobs: false,
    calls: { newId: toolCallIds({ requestId: 'r' }, 1n, 0), endAsCalls: typeof tools.choice === 'string' },
  });
  const ids = [...tokenizer.encode(text), 2];
  return ids.flatMap((id, i) => output.push([id], null, i === ids.length - 1 ? finish : null).delta ?? []);
}

const piecesOf = (deltas: readonly TextDelta[]) => deltas.flatMap(({ toolCalls = [] }) => toolCalls);

test('the first piece of a call has its id and name and no arguments, the others arguments only', async () => {
  const deltas = await deltasOf(`Sure.\n${CALL}`);
  const [first, ...rest] = piecesOf(deltas);
  assert.deepEqual(first, { index: 0, id: toolCallIds({ requestId: 'r' }, 1n, 0)(0), name: 'f', arguments: '' });
  assert.match(first!.id!, /^chatcmpl-tool-[0-9a-f]{32}$/);
  for (const piece of rest) assert.deepEqual(Object.keys(piece).sort(), ['arguments', 'index']);
  assert.equal(rest.map((piece) => piece.arguments).join(''), '{"city": "Lima"}');
  assert.equal(deltas.map(({ text }) => text).join(''), 'Sure.');
});

test('a stop after calls is tool_calls; other ends keep their name, and so does a named function', async () => {
  const finishOf = async (options: RunOptions, text = CALL) => (await deltasOf(text, options)).at(-1)!.finishReason;
  assert.equal(await finishOf({}), 'tool_calls');
  assert.equal(await finishOf({}, 'Hi'), 'stop');
  assert.equal(await finishOf({ finish: 'length' }), 'length');
  assert.equal(await finishOf({ tools: { ...TOOLS, choice: { name: 'f' } } }), 'stop');
  assert.equal(await finishOf({ tools: { ...TOOLS, choice: 'required' } }), 'tool_calls');
});

test('merged deltas keep the first piece alone and join the arguments', async () => {
  const deltas = await deltasOf(`${CALL}\n${CALL}`);
  const merged = deltas.reduce((waiting, next) => mergeDeltas(waiting, next)!);
  const pieces = piecesOf([merged]);
  assert.deepEqual(
    pieces.map(({ index, name, arguments: text }) => [index, name, text]),
    [
      [0, 'f', ''],
      [0, undefined, '{"city": "Lima"}'],
      [1, 'f', ''],
      [1, undefined, '{"city": "Lima"}'],
    ],
  );
  assert.equal(merged.finishReason, 'tool_calls');
});

test('ids differ by request, seed, choice and call, and are the same each time', () => {
  const ids = [
    toolCallIds({ requestId: 'a' }, 1n, 0),
    toolCallIds({ requestId: 'b' }, 1n, 0),
    toolCallIds({ requestId: 'a' }, 2n, 0),
    toolCallIds({ requestId: 'a' }, 1n, 1),
  ];
  assert.equal(new Set(ids.flatMap((newId) => [newId(0), newId(1)])).size, 8);
  assert.equal(toolCallIds({ requestId: 'a' }, 1n, 0)(0), ids[0]!(0));
});

test('markers that are special tokens reach the parser; other special tokens stay hidden', async () => {
  const description = readJson<ConstructorParameters<typeof Tokenizer>[0] & { added_tokens: object[] }>(MINI_DIR, 'tokenizer.json');
  const special = (id: number, content: string) => ({
    id,
    content,
    special: true,
    lstrip: false,
    rstrip: false,
    normalized: false,
    single_word: false,
  });
  const added_tokens = [...description.added_tokens, special(4096, '[TOOL_CALLS]'), special(4097, '[ARGS]'), special(4098, '[OTHER]')];
  const tokenizer = new Tokenizer({ ...description, added_tokens } as typeof description, {}, 'tokenizer.json');
  assert.ok(tokenizer.isSpecial(tokenizer.idOf('[TOOL_CALLS]')!));
  const deltas = await deltasOf('A[OTHER].[TOOL_CALLS]f[ARGS]{"a": 1}', { tokenizer });
  assert.equal(deltas.map(({ text }) => text).join(''), 'A.');
  assert.deepEqual(
    piecesOf(deltas)
      .map((piece) => piece.name ?? piece.arguments)
      .join(''),
    'f{"a": 1}',
  );
});
