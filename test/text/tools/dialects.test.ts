import { test } from 'node:test';
import { DEEPSEEK } from '../../../src/text/tools/deepseek.ts';
import { JSON_CALLS } from '../../../src/text/tools/json.ts';
import { LLAMA3_JSON } from '../../../src/text/tools/llama3-json.ts';
import { MISTRAL } from '../../../src/text/tools/mistral.ts';
import { assertCalls, assertContent } from '../../support/tool-calls.ts';

const LIMA = '{"city": "Li}\\"ma", "n": {"a": []}}';
const ONE = [['get_weather', LIMA]] as const;
const TWO = [...ONE, ['f', '{}']] as const;

test('llama3-json: the whole reply, or behind the python tag; several between semicolons', () => {
  assertCalls(LLAMA3_JSON, `{"name": "get_weather", "parameters": ${LIMA}}`, ONE);
  assertCalls(LLAMA3_JSON, `\n{"type": "function", "name": "get_weather", "parameters": ${LIMA}}\n`, ONE);
  assertCalls(LLAMA3_JSON, `<|python_tag|>{"name": "get_weather", "arguments": ${LIMA}}`, ONE);
  assertCalls(LLAMA3_JSON, `Sure. <|python_tag|>{"name": "get_weather", "parameters": ${LIMA}}`, ONE, 'Sure.');
  assertCalls(LLAMA3_JSON, `{"name": "get_weather", "parameters": ${LIMA}}; {"name": "f", "parameters": {}}`, TWO);
  assertCalls(LLAMA3_JSON, `{"name": "get_weather", "parameters": ${LIMA}};`, ONE);
});

test('llama3-json: JSON that calls no known tool is content', () => {
  assertContent(
    LLAMA3_JSON,
    '{"name": "Alice", "parameters": {"age": 3}}',
    '{"a": 1}',
    '{"name": "f", "parameters": [1]} text',
    'Hello {"name": "f", "parameters": {}}',
    '<|python_tag|>print(1)',
    '{"name": "f"',
    '  ',
  );
});

test('json: one call or a list of them', () => {
  assertCalls(JSON_CALLS, `{"name": "get_weather", "arguments": ${LIMA}}`, ONE);
  assertCalls(JSON_CALLS, ` [{"name": "get_weather", "arguments": ${LIMA}}]`, ONE);
  assertCalls(JSON_CALLS, `[{"name": "get_weather", "parameters": ${LIMA}},\n {"name": "f"}]`, TWO);
});

test('json: other JSON is content', () => {
  assertContent(
    JSON_CALLS,
    '[]',
    '[1, 2]',
    '[{"name": "who", "arguments": {}}]',
    '{"city": "Lima"}',
    'I say {"name": "f", "arguments": {}}',
    '[',
  );
});

test('mistral: a list behind the marker', () => {
  assertCalls(MISTRAL, `[TOOL_CALLS] [{"name": "get_weather", "arguments": ${LIMA}}]`, ONE);
  assertCalls(MISTRAL, `[TOOL_CALLS][{"arguments": ${LIMA}, "name": "get_weather", "id": "x"}, {"name": "f", "arguments": {}}]`, TWO);
  assertCalls(MISTRAL, `Sure.[TOOL_CALLS] [{"name": "get_weather", "arguments": ${LIMA}}]`, ONE, 'Sure.');
});

test('mistral: names with arguments behind the marker', () => {
  assertCalls(MISTRAL, `[TOOL_CALLS]get_weather[ARGS]${LIMA}`, ONE);
  assertCalls(MISTRAL, `[TOOL_CALLS]get_weather[ARGS]${LIMA}[TOOL_CALLS]f[ARGS]{}`, TWO);
  assertCalls(MISTRAL, `[TOOL_CALLS]get_weather[CALL_ID]a1B2[ARGS]${LIMA}`, ONE);
  assertCalls(MISTRAL, `[TOOL_CALLS]get_weather${LIMA}`, ONE);
  assertCalls(MISTRAL, '[TOOL_CALLS]f[ARGS]{"a": oops! [TOOL_CALLS]f[ARGS]{}', [
    ['f', '{"a": oops! '],
    ['f', '{}'],
  ]);
});

test('mistral: what is no call is content', () => {
  assertContent(
    MISTRAL,
    '[TOOL_CALLS] sorry, no',
    '[TOOL_CALLS] [1]',
    '[TOOL_CALLS]',
    '[TOOL_CALLS]f',
    '[TOOL',
    '[1, 2]',
    '[TOOL_CALLS]two words{}',
  );
});

const [BEGIN, END] = ['<｜tool▁calls▁begin｜>', '<｜tool▁calls▁end｜>'];
const v3 = (name: string, args: string) =>
  `<｜tool▁call▁begin｜>function<｜tool▁sep｜>${name}\n\`\`\`json\n${args}\n\`\`\`<｜tool▁call▁end｜>`;
const v31 = (name: string, args: string) => `<｜tool▁call▁begin｜>${name}<｜tool▁sep｜>${args}<｜tool▁call▁end｜>`;

test('deepseek: both spellings, several calls, content before', () => {
  assertCalls(DEEPSEEK, `${BEGIN}${v3('get_weather', LIMA)}${END}`, ONE);
  assertCalls(DEEPSEEK, `${BEGIN}${v3('get_weather', LIMA)}\n${v3('f', '{}')}${END}`, TWO);
  assertCalls(DEEPSEEK, `${BEGIN}${v31('get_weather', LIMA)}${v31('f', '{}')}${END}`, TWO);
  assertCalls(DEEPSEEK, `I look.\n\n${BEGIN}${v31('get_weather', LIMA)}${END}`, ONE, 'I look.');
  assertCalls(DEEPSEEK, `${BEGIN}${v31('get_weather', LIMA)}`, ONE);
  assertCalls(DEEPSEEK, `${BEGIN}${v31('function', '{}')}${END}`, [['function', '{}']]);
});

test('deepseek: broken arguments end at the end of the call, and what is no call is content', () => {
  assertCalls(DEEPSEEK, `${BEGIN}${v31('f', '{"a": <')}${v31('f', '{}')}${END}`, [
    ['f', '{"a": <'],
    ['f', '{}'],
  ]);
  assertContent(
    DEEPSEEK,
    BEGIN,
    `${BEGIN} no`,
    `${BEGIN}<｜tool▁call▁begin｜>two words<｜tool▁sep｜>{}`,
    `${BEGIN}<｜tool▁call▁begin｜>f`,
    '<｜tool▁x',
  );
});
