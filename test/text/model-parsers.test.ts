import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StartupError } from '../../src/core/errors.ts';
import { ChatTemplate } from '../../src/text/chat-template.ts';
import { modelParsers, modelTraits } from '../../src/text/model-parsers.ts';
import { HERMES } from '../../src/text/tools/hermes.ts';
import { MINI_DIR, tokenizerOf } from '../support/text-fixtures.ts';

/** What is chosen for a model with this template, these tokens and this type. */
function chosen(templateSource: string, { tokens = [] as string[], modelType = '' } = {}): [string | undefined, string | undefined] {
  const { reasoning, tools } = modelParsers({ templateSource, hasToken: (token) => tokens.includes(token), modelType });
  return [reasoning?.name, tools?.name];
}

test('auto: by the markers that the chat template writes', () => {
  assert.deepEqual(chosen(''), [undefined, undefined]);
  assert.deepEqual(chosen("'<think>' '</think>' <tool_call>", { modelType: 'qwen3' }), ['qwen3', 'hermes']);
  assert.deepEqual(chosen('<｜tool▁calls▁begin｜> </think>', { modelType: 'deepseek_v3' }), ['qwen3', 'deepseek']);
  assert.deepEqual(chosen('[TOOL_CALLS]', { modelType: 'mistral' }), [undefined, 'mistral']);
  assert.deepEqual(chosen('<tool_call>\n<function=', { modelType: 'qwen3_moe' }), [undefined, undefined]);
});

test('auto: by the vocabulary where the template is silent', () => {
  assert.deepEqual(chosen('', { tokens: ['<|python_tag|>'], modelType: 'llama' }), [undefined, 'llama3-json']);
  assert.deepEqual(chosen('', { tokens: ['[TOOL_CALLS]', '</think>'] }), ['qwen3', 'mistral']);
});

test("auto: ERNIE's own ways where its template shows them", () => {
  const template = '</think> <tool_call>';
  assert.deepEqual(chosen(`${template} <response>`, { modelType: 'ernie4_5_moe' }), ['ernie-x1', 'ernie-x1']);
  assert.deepEqual(chosen(template, { modelType: 'ernie4_5_moe_vl' }), ['ernie-45-vl-thinking', 'ernie-45-vl-thinking']);
  assert.deepEqual(chosen(template, { modelType: 'ernie4_5' }), ['qwen3', 'hermes']);
});

test('the embedded model has its parsers', () => {
  const { reasoning, tools } = modelParsers(modelTraits(tokenizerOf('troupe-mini'), ChatTemplate.load(MINI_DIR), 'ernie4_5'));
  assert.deepEqual([reasoning?.name, tools?.name], ['qwen3', 'hermes']);
});

test('names: _ and - are equal, aliases, none, and a list of all for a wrong one', () => {
  const traits = { templateSource: '</think> <tool_call>', hasToken: () => false, modelType: '' };
  const named = (reasoningParser: string, toolCallParser: string) => {
    const { reasoning, tools } = modelParsers(traits, { reasoningParser, toolCallParser });
    return [reasoning?.name, tools?.name];
  };
  assert.deepEqual(named('ernie_x1', 'ernie_45_vl_thinking'), ['ernie-x1', 'ernie-45-vl-thinking']);
  assert.deepEqual(named('deepseek_r1', 'qwen25'), ['deepseek-r1', 'hermes']);
  assert.deepEqual(named('none', 'none'), [undefined, undefined]);
  assert.throws(
    () => named('auto', 'toString'),
    (error) => error instanceof StartupError && /hermes, .*, json\./.test(error.message),
  );
  assert.throws(
    () => named('x', 'auto'),
    (error) => error instanceof StartupError && /qwen3, ernie-x1/.test(error.message),
  );
});

test("a plugin's parser is found by its name, before the built-in ones", () => {
  const traits = { templateSource: '', hasToken: () => false, modelType: '' };
  const plugins = [
    { ...HERMES, name: 'my_parser' },
    { ...HERMES, name: 'json', markers: ['mine'] },
  ];
  assert.equal(modelParsers(traits, { toolCallParser: 'my-parser', plugins }).tools, plugins[0]);
  assert.equal(modelParsers(traits, { toolCallParser: 'json', plugins }).tools, plugins[1]);
});
