import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LengthFacts, maxCharsPerToken } from '../../src/text/chars-per-token.ts';

const llama: LengthFacts = {
  normalizer: {
    type: 'Sequence',
    normalizers: [
      { type: 'Prepend', prepend: '\u2581' },
      { type: 'Replace', pattern: { String: ' ' }, content: '\u2581' },
    ],
  },
  pre_tokenizer: null,
  model: { vocab: { a: 0, abcdef: 1, '<0x00>': 2 }, byte_fallback: true },
};

test('the longest token bounds the text, and composition makes it four times as long', () => {
  assert.equal(maxCharsPerToken(llama), 6);
  assert.equal(maxCharsPerToken({ ...llama, added_tokens: [{ content: '<|special|>' }] }), 11);
  assert.equal(maxCharsPerToken({ ...llama, normalizer: { type: 'NFC' } }), 24);
  assert.equal('\u03b1\u0313\u0300\u0345'.normalize('NFC').length, 1, 'four units to one');
  assert.equal(maxCharsPerToken({ ...llama, normalizer: { type: 'Replace', pattern: { String: '    ' }, content: '\t' } }), 24);
});

test('a tokenizer that may drop text, or joins unknown characters to one token, has no bound', () => {
  const unbounded = (change: Partial<LengthFacts>) => assert.equal(maxCharsPerToken({ ...llama, ...change }), Number.POSITIVE_INFINITY);
  unbounded({ normalizer: { type: 'Strip' } });
  unbounded({ normalizer: { type: 'Replace', pattern: { Regex: ' +' }, content: ' ' } });
  unbounded({ normalizer: { type: 'Replace', pattern: { String: 'x' }, content: '' } });
  unbounded({ pre_tokenizer: { type: 'Whitespace' } });
  unbounded({ pre_tokenizer: { type: 'Split', behavior: 'Removed' } });
  unbounded({ model: { vocab: { a: 0, '[UNK]': 1 } } });
  unbounded({ pre_tokenizer: { type: 'ByteLevel' }, model: { vocab: { a: 0 } } });
  unbounded({ added_tokens: [{ content: '<mask>', lstrip: true }] });
  unbounded({ truncation: { max_length: 8 } });
});
