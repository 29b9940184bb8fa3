import assert from 'node:assert/strict';
import { test } from 'node:test';
import { guardedParser } from '../../../src/text/tools/guarded-parser.ts';
import type { ToolPiece } from '../../../src/text/tools/tool-parser.ts';

test('after an error of its parser the text is content, and the error is told once', () => {
  const errors: unknown[] = [];
  const failing = () => {
    throw new Error('oops');
  };
  const parser = guardedParser({ push: (text) => (text === 'bad' ? failing() : { content: text, calls: [] }), flush: failing }, (error) =>
    errors.push(error),
  );
  assert.deepEqual(
    ['a', 'bad', 'b'].map((text) => parser.push(text).content),
    ['a', 'bad', 'b'],
  );
  assert.deepEqual(parser.flush(), { content: '', calls: [] });
  assert.equal(errors.length, 1);
});

test('a piece that is none is an error', () => {
  for (const wrong of [null, {}, { content: 1, calls: [] }, { content: '', calls: [{ index: 0 }] }]) {
    let numErrors = 0;
    const parser = guardedParser({ push: () => wrong as ToolPiece, flush: () => wrong as ToolPiece }, () => numErrors++);
    assert.deepEqual(parser.push('x'), { content: 'x', calls: [] });
    assert.equal(numErrors, 1);
  }
});
