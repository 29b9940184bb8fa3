import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReasoningDialect } from '../../../src/text/reasoning/reasoning-parser.ts';
import { DEEPSEEK_R1, ERNIE_45_VL_THINKING, QWEN3 } from '../../../src/text/reasoning/think-tags.ts';
import { cuts } from '../../support/text-fixtures.ts';

const PLAIN = '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n';
const OPEN = `${PLAIN}<think>\n`;

function split(prompt: string, parts: readonly string[], dialect: ReasoningDialect): { reasoning: string; content: string } {
  const parser = dialect.newParser(prompt);
  const all = [...parts.map((part) => parser.push(part)), parser.flush()];
  return { reasoning: all.map((piece) => piece.reasoning).join(''), content: all.map((piece) => piece.content).join('') };
}

/** The same for every way to cut the text. */
function assertSplit(prompt: string, text: string, expected: { reasoning: string; content: string }, dialect = QWEN3): void {
  for (const parts of cuts(text)) assert.deepEqual(split(prompt, parts, dialect), expected, JSON.stringify(parts));
}

test('a prompt that opens the reasoning: all text up to </think> is reasoning', () => {
  assertSplit(OPEN, '7 + 5 = 12.\n\nSo 12.\n</think>\n\nIt is 12.\n', { reasoning: '7 + 5 = 12.\n\nSo 12.', content: 'It is 12.\n' });
});

test('the model may open the reasoning itself', () => {
  assertSplit(PLAIN, '<think>\nhm\n</think>\n\nYes', { reasoning: 'hm', content: 'Yes' });
  assertSplit(PLAIN, '\n <think>hm</think>Yes', { reasoning: 'hm', content: 'Yes' });
});

test('without reasoning, the content is untouched', () => {
  for (const text of ['\n\nYes\n', 'a < b', '<thin air', ' <b>', '</think> stray', '\n'])
    assertSplit(PLAIN, text, { reasoning: '', content: text });
});

test('empty reasoning leaves nothing behind', () => {
  assertSplit(PLAIN, '<think>\n\n</think>\n\nYes', { reasoning: '', content: 'Yes' });
  assertSplit(OPEN, '</think>Yes', { reasoning: '', content: 'Yes' });
});

test('reasoning that never ends is all reasoning, without its last newlines', () => {
  assertSplit(OPEN, 'one\n\ntwo\n', { reasoning: 'one\n\ntwo', content: '' });
  assertSplit(OPEN, 'almost </thin', { reasoning: 'almost </thin', content: '' });
});

test('markers in the content are content', () => {
  assertSplit(OPEN, 'r</think>say <think>x</think>', { reasoning: 'r', content: 'say <think>x</think>' });
});

test('a text that starts like the end marker is reasoning', () => {
  assertSplit(OPEN, 'a </think b\n</thinking', { reasoning: 'a </think b\n</thinking', content: '' });
});

test('reasoning streams: only newlines and the beginning of a marker wait', () => {
  const parser = QWEN3.newParser(OPEN);
  assert.deepEqual(parser.push('\nLet me'), { reasoning: 'Let me', content: '' });
  assert.deepEqual(parser.push(' see\n'), { reasoning: ' see', content: '' });
  assert.deepEqual(parser.push('more</th'), { reasoning: '\nmore', content: '' });
  assert.equal(parser.isReasoning, true);
  assert.deepEqual(parser.push('ink>\n'), { reasoning: '', content: '' });
  assert.equal(parser.isReasoning, false);
  assert.deepEqual(parser.push('\nYes'), { reasoning: '', content: 'Yes' });
});

test('only the last turn of the prompt can open the reasoning', () => {
  const asked = '<|im_start|>user\nWhat does <think> mean?<|im_end|>\n<|im_start|>assistant\n';
  assertSplit(asked, 'A tag.', { reasoning: '', content: 'A tag.' });
  assertSplit(`${PLAIN}<think>\n\n</think>\n\n`, 'Yes', { reasoning: '', content: 'Yes' });
  assertSplit(`${PLAIN}<think>\nI was thinking`, ' on</think>Yes', { reasoning: ' on', content: 'Yes' });
});

test('a prompt without turn markers opens the reasoning only at its very end', () => {
  assertSplit('User: is <think> a tag?\nAssistant:', 'Yes', { reasoning: '', content: 'Yes' });
  assertSplit('User: hi\nAssistant: <think>\n', 'hm</think>Yes', { reasoning: 'hm', content: 'Yes' });
});

test('deepseek-r1 and ernie-45-vl-thinking: reasoning from the very start, with or without <think>', () => {
  for (const dialect of [DEEPSEEK_R1, ERNIE_45_VL_THINKING]) {
    assertSplit(PLAIN, 'hm\n</think>\n\nYes', { reasoning: 'hm', content: 'Yes' }, dialect);
    assertSplit(PLAIN, '\n<think>\nhm\n</think>Yes', { reasoning: 'hm', content: 'Yes' }, dialect);
    assertSplit(OPEN, 'hm</think>Yes', { reasoning: 'hm', content: 'Yes' }, dialect);
    assertSplit(PLAIN, 'never closed', { reasoning: 'never closed', content: '' }, dialect);
    assertSplit(PLAIN, '<thin', { reasoning: '<thin', content: '' }, dialect);
    assert.equal(dialect.newParser(PLAIN).isReasoning, true);
  }
});

test('a prompt that has closed the reasoning leaves content only, whatever the parser', () => {
  for (const dialect of [DEEPSEEK_R1, ERNIE_45_VL_THINKING, QWEN3])
    assertSplit(`${PLAIN}<think>\n\n</think>\n\n`, 'Yes\n', { reasoning: '', content: 'Yes\n' }, dialect);
});
