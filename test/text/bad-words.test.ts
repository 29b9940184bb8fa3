import assert from 'node:assert/strict';
import { test } from 'node:test';
import { badWordIds } from '../../src/text/bad-words.ts';
import { tokenizerOf } from '../support/text-fixtures.ts';

const MINI = tokenizerOf('troupe-mini');

test('a word is banned as it stands and after a space', () => {
  const ids = badWordIds(MINI, ['Paris']);
  assert.deepEqual(ids[0], MINI.encode('Paris'));
  for (const sequence of ids) assert.equal(MINI.decode(sequence).trim(), 'Paris');
  assert.deepEqual(badWordIds(MINI, [' Paris']), ids);
});

test('the form with a space is left out only where it ends with the bare one', () => {
  const encodings: Readonly<Record<string, number[]>> = {
    a: [1],
    ' a': [2],
    b: [1, 3],
    ' b': [2],
    c: [4, 5],
    ' c': [9, 4, 5],
    d: [7],
    ' d': [7],
  };
  const tokenizer = { encode: (text: string) => encodings[text] ?? [] };
  assert.deepEqual(badWordIds(tokenizer, ['a', 'b', 'c', 'd', '']), [[1], [2], [1, 3], [2], [4, 5], [7]]);
});

test('words of several tokens keep their order', () => {
  const [ids] = badWordIds(MINI, ['extraordinarily xylophonic']);
  assert.ok(ids!.length > 2);
  assert.equal(MINI.decode(ids!), 'extraordinarily xylophonic');
});
