/** Formats are compiled by XGrammar itself: what they allow is what the parsers must find. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GrammarLibrary } from '../../../src/actors/grammar-library.ts';
import type { ToolUse } from '../../../src/core/generation.ts';
import { modelParsers } from '../../../src/text/model-parsers.ts';
import { HERMES } from '../../../src/text/tools/hermes.ts';
import { toolConstraint } from '../../../src/text/tools/tool-constraint.ts';
import type { ToolDialect } from '../../../src/text/tools/tool-parser.ts';
import { structuralTag } from '../../support/structural-tags.ts';
import { tokenizerOf } from '../../support/text-fixtures.ts';
import { read } from '../../support/tool-calls.ts';

const CITY = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false };
const USE: ToolUse = {
  functions: [{ name: 'get_weather', parameters: CITY }, { name: 'f' }],
  choice: 'required',
  parallel: true,
};
const STRICT: ToolUse = {
  ...USE,
  choice: 'auto',
  functions: [
    { name: 'get_weather', parameters: CITY, strict: true },
    { name: 'f', strict: true },
  ],
};

const MINI = tokenizerOf('troupe-mini');
const END = MINI.idOf('<|im_end|>')!;
const library = await GrammarLibrary.load({ tokenizer: MINI, vocabSize: MINI.vocabSize, endIds: [END] });

function formatOf(tools: ToolUse, dialect: ToolDialect | null, templateSource = '', answer: object | null = null) {
  const schemaFormat = (schema: unknown) => ({ type: 'json_schema', json_schema: schema });
  return toolConstraint({ tools, dialect, templateSource, schemaFormat, answer: answer && { ...answer } });
}

/** Whether a reply may be this text, and end there. */
async function acceptorOf(tools: ToolUse, dialect = HERMES, templateSource = '', answer: object | null = null) {
  const grammar = await library.compile(structuralTag(formatOf(tools, dialect, templateSource, answer)!));
  return async (text: string): Promise<boolean> => {
    const matcher = await library.newMatcher(grammar);
    try {
      return MINI.encode(text).every((id) => matcher.acceptToken(id)) && matcher.acceptToken(END);
    } finally {
      matcher.dispose();
    }
  };
}

const call = (name: string, args: string) => `<tool_call>\n{"name": "${name}", "arguments": ${args}}\n</tool_call>`;
const LIMA = '{"city": "Lima"}';
const TAKES_LISTS = '{%- if [ARGS] -%}';

test('required: one call or several, of known functions with arguments that match, and nothing else', async () => {
  const accepts = await acceptorOf(USE);
  for (const text of [call('get_weather', LIMA), call('f', '{}'), `${call('get_weather', LIMA)}\n${call('f', '{}')}`])
    assert.equal(await accepts(text), true, text);
  const wrong = [
    '',
    'Hi',
    `Hi ${call('f', '{}')}`,
    call('g', '{}'),
    call('get_weather', '{"city": 1}'),
    call('f', '{"a": 1}'),
    `${call('f', '{}')}\nHi`,
  ];
  for (const text of wrong) assert.equal(await accepts(text), false, text);
});

test('required without parallel calls: exactly one', async () => {
  const accepts = await acceptorOf({ ...USE, parallel: false });
  assert.equal(await accepts(call('f', '{}')), true);
  assert.equal(await accepts(`${call('f', '{}')}\n${call('f', '{}')}`), false);
});

test('a named function: exactly one call of it', async () => {
  const accepts = await acceptorOf({ ...USE, choice: { name: 'get_weather' } });
  assert.equal(await accepts(call('get_weather', LIMA)), true);
  assert.equal(await accepts(call('f', '{}')), false);
  assert.equal(await accepts(`${call('get_weather', LIMA)}\n${call('get_weather', LIMA)}`), false);
});

test('auto with strict functions: any text, but a call that begins has a known name and arguments that match', async () => {
  const accepts = await acceptorOf(STRICT);
  for (const text of ['Hi', '', `Let me see.\n${call('get_weather', LIMA)}`, `${call('f', '{}')} and ${call('get_weather', LIMA)}`])
    assert.equal(await accepts(text), true, text);
  for (const text of [call('g', '{}'), call('get_weather', '{}'), 'a <tool_call> is']) assert.equal(await accepts(text), false, text);
});

test('auto where only some are strict: the others take any object', async () => {
  const accepts = await acceptorOf({ ...STRICT, functions: [STRICT.functions[0]!, { name: 'f', parameters: CITY }] });
  assert.equal(await accepts(call('f', '{"x": [1]}')), true);
  assert.equal(await accepts(call('get_weather', '{"x": [1]}')), false);
});

test('auto without parallel calls: one at most', async () => {
  const accepts = await acceptorOf({ ...USE, choice: 'auto', parallel: false });
  for (const text of ['Hi', call('f', '{}'), `Hi ${call('f', '{"a": 1}')}`]) assert.equal(await accepts(text), true, text);
  assert.equal(await accepts(`${call('f', '{}')}\n${call('f', '{}')}`), false);
});

test('auto with a response format: either that, or calls', async () => {
  const accepts = await acceptorOf({ ...USE, choice: 'auto' }, HERMES, '', { type: 'json_schema', json_schema: CITY });
  for (const text of [LIMA, call('f', '{"any": 1}')]) assert.equal(await accepts(text), true, text);
  for (const text of ['Hi', `${LIMA}${call('f', '{}')}`]) assert.equal(await accepts(text), false, text);
});

test('auto with nothing to enforce has no constraint; required calls have no other format', () => {
  assert.equal(formatOf({ ...USE, choice: 'auto' }, HERMES), null);
  assert.equal(formatOf({ ...USE, choice: 'auto' }, null), null);
  assert.deepEqual(formatOf(USE, HERMES, '', { type: 'any_text' }), formatOf(USE, HERMES));
});

test('where calls cannot be enforced, required is refused and auto is not', () => {
  const plain: ToolDialect = { name: 'plain', markers: [], newParser: HERMES.newParser };
  for (const dialect of [null, plain]) assert.throws(() => formatOf(USE, dialect), { code: 'invalid_request', param: 'tool_choice' });
  assert.equal(formatOf(STRICT, plain), null);
});

test('every parser finds the calls that its own syntax enforces', async () => {
  for (const name of ['hermes', 'ernie-x1', 'ernie-45-vl-thinking', 'llama3-json', 'mistral', 'deepseek', 'json']) {
    const dialect = modelParsers({ templateSource: '', hasToken: () => false, modelType: '' }, { toolCallParser: name }).tools!;
    for (const templateSource of ['', TAKES_LISTS]) {
      const either = await acceptorOf({ ...USE, choice: 'auto' }, dialect, templateSource, { type: 'json_schema', json_schema: CITY });
      assert.equal(await either(LIMA), true);
      const { prefix, begin, end, separator, suffix } = dialect.syntax!(templateSource);
      const text = `${prefix}${begin('get_weather')}${LIMA}${end}${separator}${begin('f')}{}${end}${suffix}`;
      assert.equal(await (await acceptorOf(USE, dialect, templateSource))(text), true, text);
      const single = `${prefix}${begin('f')}{}${end}${suffix}`;
      assert.equal(await (await acceptorOf({ ...USE, parallel: false }, dialect, templateSource))(single), true, single);
      assert.deepEqual(read(dialect, [...text], USE), {
        content: '',
        calls: [
          ['get_weather', LIMA],
          ['f', '{}'],
        ],
      });
    }
  }
});
