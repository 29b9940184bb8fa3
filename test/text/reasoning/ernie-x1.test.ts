import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERNIE_X1 } from '../../../src/text/reasoning/ernie-x1.ts';
import { cuts } from '../../support/text-fixtures.ts';

const CALL = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>';

function assertSplit(text: string, expected: { reasoning: string; content: string }): void {
  for (const parts of cuts(text)) {
    const parser = ERNIE_X1.newParser('<|im_start|>assistant\n');
    const all = [...parts.map((part) => parser.push(part)), parser.flush()];
    const joined = { reasoning: all.map((piece) => piece.reasoning).join(''), content: all.map((piece) => piece.content).join('') };
    assert.deepEqual(joined, expected, JSON.stringify(parts));
  }
}

test('the answer is what stands inside <response>, without the newlines beside the markers', () => {
  assertSplit('think\n</think>\n\n<response>\nHello\n\nworld\n</response>\n', { reasoning: 'think', content: 'Hello\n\nworld' });
});

test('an answer that is not closed is an answer', () => {
  assertSplit('a</think><response>Hello', { reasoning: 'a', content: 'Hello' });
});

test('text outside of the markers is dropped', () => {
  assertSplit('a</think>lost', { reasoning: 'a', content: '' });
  assertSplit('a</think>x<response>Hi</response>y', { reasoning: 'a', content: 'Hi' });
});

test('reasoning that never ends is all there is', () => {
  assertSplit('abc <response>', { reasoning: 'abc <response>', content: '' });
});

test('calls are left for the tool parser, but not behind an answer', () => {
  assertSplit(`a\n</think>\n${CALL}`, { reasoning: 'a', content: `${CALL}\n` });
  assertSplit(`a</think>${CALL}\n${CALL}`, { reasoning: 'a', content: `${CALL}\n${CALL}\n` });
  assertSplit(`a</think><response>no</response>${CALL}`, { reasoning: 'a', content: 'no' });
  assertSplit('a</think><tool_call>{"na', { reasoning: 'a', content: '<tool_call>{"na' });
});
