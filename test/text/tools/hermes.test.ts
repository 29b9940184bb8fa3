import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERNIE_45_VL_THINKING, ERNIE_X1, HERMES } from '../../../src/text/tools/hermes.ts';
import { assertCalls, assertContent, TOOLS } from '../../support/tool-calls.ts';

const ALL = [HERMES, ERNIE_X1, ERNIE_45_VL_THINKING];
const call = (args: string, name = 'get_weather') => `<tool_call>\n{"name": "${name}", "arguments": ${args}}\n</tool_call>`;
const LIMA = '{"city": "Lima"}';

test('one call: its arguments are the text that the model wrote', () => {
  for (const dialect of ALL) {
    assertCalls(dialect, call(LIMA), [['get_weather', LIMA]]);
    assertCalls(dialect, call('{ "city" :  "Lima", "n":1.0,"big":12345678901234567890 }'), [
      ['get_weather', '{ "city" :  "Lima", "n":1.0,"big":12345678901234567890 }'],
    ]);
    assertCalls(dialect, '<tool_call>{"name":"f","arguments":{}}</tool_call>', [['f', '{}']]);
  }
});

test('several calls, with newlines between them or without', () => {
  const expected = [
    ['get_weather', LIMA],
    ['set_timer', '{"minutes": 12}'],
  ] as const;
  for (const dialect of ALL)
    for (const between of ['', '\n', '\n\n'])
      assertCalls(dialect, call(LIMA) + between + call('{"minutes": 12}', 'set_timer') + between, expected);
});

test('a reply without calls is content, unchanged', () => {
  const texts = ['', ' ', '\n\nHi\n', 'a < b', 'say <tool', 'a <tool_cal b', '</tool_call>', '<tools>', 'trailing <', '{"name": "f"}'];
  for (const dialect of ALL) assertContent(dialect, ...texts);
});

test('unicode, nested braces and markers inside strings belong to the arguments', () => {
  const texts = [
    '{"city": "東京 🗼", "note": "}}\\"{[</tool_call>"}',
    '{"a": {"b": [{"c": "]"}, {}]}, "path": "C:\\\\"}',
    '{"text": "<tool_call>"}',
    '{"empty": "", "nothing": null, "no": false, "x": [-1.5e+3]}',
  ];
  for (const text of texts) for (const dialect of ALL) assertCalls(dialect, call(text), [['get_weather', text]]);
});

test('a call without arguments has an empty object', () => {
  for (const json of [
    '{"name": "f"}',
    '{"name": "f", "arguments": null}',
    '{"name": "f", "arguments": {}}',
    '{"arguments": null, "name": "f"}',
  ])
    assertCalls(HERMES, `<tool_call>\n${json}\n</tool_call>`, [['f', '{}']]);
});

test('members in another order, beside others, or named parameters', () => {
  assertCalls(HERMES, '<tool_call>{"arguments": {"a": 1.0}, "name": "f"}</tool_call>', [['f', '{"a": 1.0}']]);
  assertCalls(HERMES, '<tool_call>{"id": "7", "name": "f", "arguments": {"a": "}"}}</tool_call>', [['f', '{"a": "}"}']]);
  assertCalls(HERMES, '<tool_call>{"name": "f", "arguments": {"a": 1}, "id": {"x": "}"}}</tool_call>', [['f', '{"a": 1}']]);
  assertCalls(HERMES, '<tool_call>{"type": "function", "name": "f", "parameters": {"a": 1}}</tool_call>', [['f', '{"a": 1}']]);
  assertCalls(HERMES, '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>', [['f', '{"a": 1}']]);
  assertCalls(HERMES, '<tool_call>{"name": "f\\u00e9", "arguments": {}}</tool_call>', [['fé', '{}']]);
});

test('a bracket that is missing or one too many is forgiven', () => {
  assertCalls(HERMES, '<tool_call>\n{"name": "f", "arguments": {"a": 1}\n</tool_call>', [['f', '{"a": 1}']]);
  assertCalls(HERMES, '<tool_call>\n{"name": "f", "arguments": {"a": 1}}}\n</tool_call>', [['f', '{"a": 1}']]);
  assertCalls(HERMES, '<tool_call>\n{"name": "f", "arguments": {"a": 1}}', [['f', '{"a": 1}']]);
});

test('what is no call is content, unchanged', () => {
  assertContent(
    HERMES,
    '<tool_call>\nnot JSON\n</tool_call>',
    '<tool_call>\n["f"]\n</tool_call> more',
    '<tool_call>{"name": 1, "arguments": {}}</tool_call>',
    '<tool_call>{"name": "", "arguments": {}}</tool_call>',
    '<tool_call>{"name": "f", "arguments": [1]}</tool_call>',
    '<tool_call>{"name": "f", "arguments": "x"}</tool_call>',
    '<tool_call>{"arguments": {"a": 1}}</tool_call>',
    '<tool_call>{"name": "f", </tool_call>',
    '<tool_call>{"name": "f"',
    '<tool_call>{"name": "f", "arguments": ',
    'a <tool_call>',
    '<tool_call><function=f><parameter=a>1</parameter></function></tool_call>',
  );
});

test('a call after one that is none is found', () => {
  assertCalls(HERMES, `<tool_call>oops</tool_call>\n${call(LIMA)}`, [['get_weather', LIMA]], '<tool_call>oops</tool_call>');
  assertCalls(HERMES, `<tool_call>\n${call(LIMA)}`, [['get_weather', LIMA]], '<tool_call>');
});

test('arguments that break off stay as they came', () => {
  assertCalls(HERMES, '<tool_call>\n{"name": "f", "arguments": {"a": "Li', [['f', '{"a": "Li']]);
  assertCalls(HERMES, '<tool_call>\n{"name": "f", "arguments": {"a": 1 </tool_call>\nSorry.', [['f', '{"a": 1 ']], 'Sorry.');
  assertCalls(HERMES, `<tool_call>\n{"name": "f", "arguments": {"a": "x\ny}}\n</tool_call>${call(LIMA)}`, [
    ['f', '{"a": "x\ny}}\n'],
    ['get_weather', LIMA],
  ]);
});

test('content beside calls is kept, without the white space between', () => {
  assertCalls(HERMES, `Let me look.\n\n${call(LIMA)}`, [['get_weather', LIMA]], 'Let me look.');
  assertCalls(HERMES, `${call(LIMA)}\nDone.\n`, [['get_weather', LIMA]], 'Done.');
  assertCalls(HERMES, `A.\n${call(LIMA)}\nB.`, [['get_weather', LIMA]], 'A.\nB.');
});

test('ernie-45-vl-thinking: behind words nothing is a call', () => {
  assertContent(ERNIE_45_VL_THINKING, `Let me look.\n${call(LIMA)}`, ` ${call(LIMA)}`, `x${call(LIMA)}${call(LIMA)}\n`);
  assertCalls(ERNIE_45_VL_THINKING, `\n\n${call(LIMA)}`, [['get_weather', LIMA]]);
});

test('ernie-x1: directly behind an answer nothing is a call', () => {
  const answer = `<response>\nYes\n</response>\n${call(LIMA)}\n${call(LIMA)}`;
  assertContent(ERNIE_X1, answer);
  assertCalls(ERNIE_X1, `Let me look.\n${call(LIMA)}`, [['get_weather', LIMA]], 'Let me look.');
});

test('the name comes as soon as arguments begin, and the arguments as they come', () => {
  const parser = HERMES.newParser(TOOLS);
  assert.deepEqual(parser.push('Sure. <tool'), { content: 'Sure.', calls: [] });
  assert.deepEqual(parser.push('_call>\n{"name": "f", "argum'), { content: '', calls: [] });
  assert.deepEqual(parser.push('ents": {"ci'), {
    content: '',
    calls: [
      { index: 0, name: 'f', arguments: '' },
      { index: 0, arguments: '{"ci' },
    ],
  });
  assert.deepEqual(parser.push(''), { content: '', calls: [] });
  assert.deepEqual(parser.push('ty": "Li'), { content: '', calls: [{ index: 0, arguments: 'ty": "Li' }] });
  assert.deepEqual(parser.push('ma"}}\n</tool_c'), { content: '', calls: [{ index: 0, arguments: 'ma"}' }] });
  assert.deepEqual(parser.push('all>'), { content: '', calls: [] });
  assert.deepEqual(parser.flush(), { content: '', calls: [] });
});

test('text that only looks like a marker is held back and released', () => {
  const parser = HERMES.newParser(TOOLS);
  assert.deepEqual(parser.push('a <tool_'), { content: 'a', calls: [] });
  assert.deepEqual(parser.push('box>'), { content: ' <tool_box>', calls: [] });
});
