import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Detokenizer } from '../../src/text/detokenizer.ts';
import type { Tokenizer } from '../../src/text/tokenizer.ts';
import { incompleteTailLength } from '../../src/text/utf8.ts';
import { oracleDir } from '../support/oracles.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { readJson, textFixture, tokenizerOf, tokenizerOracles } from '../support/text-fixtures.ts';

function pieces(tokenizer: Tokenizer, ids: readonly number[], skipSpecialTokens = false): string[] {
  const detokenizer = new Detokenizer(tokenizer, { skipSpecialTokens });
  return [...ids.map((id) => detokenizer.push(id)), detokenizer.flush()];
}

test('the pieces of a golden text joined are what transformers decodes', () => {
  for (const name of tokenizerOracles()) {
    const tokenizer = tokenizerOf(name);
    for (const golden of readJson<{ ids: number[]; decoded: string; decoded_skip_special: string }[]>(
      oracleDir(name),
      'golden-tokenizer.json',
    )) {
      assert.equal(pieces(tokenizer, golden.ids).join(''), golden.decoded);
      assert.equal(pieces(tokenizer, golden.ids, true).join(''), golden.decoded_skip_special);
    }
  }
});

test('the pieces of random ids joined are what the Rust library decodes', () => {
  const { tokenizers } = textFixture<{ tokenizers: Record<string, { decode: { ids: number[]; decoded: string; skipped: string }[] }> }>(
    'tokenizer-random.json',
  );
  for (const [name, { decode }] of Object.entries(tokenizers)) {
    for (const { ids, decoded, skipped } of decode) {
      assert.equal(pieces(tokenizerOf(name), ids).join(''), decoded);
      assert.equal(pieces(tokenizerOf(name), ids, true).join(''), skipped);
    }
  }
});

test('an unfinished character is held back until its last byte', () => {
  const tokenizer = tokenizerOf('llama-rope3');
  const bytes = [...new TextEncoder().encode('你')].map((byte) => tokenizer.idOf(`<0x${byte.toString(16).toUpperCase()}>`)!);
  assert.deepEqual(pieces(tokenizer, bytes), ['', '', '你', '']);
  assert.deepEqual(pieces(tokenizer, bytes.slice(0, 2)), ['', '', '\uFFFD\uFFFD']);
});

test('a newline that is a byte token comes out at once, and a broken byte after it does not take it back', () => {
  const tokenizer = tokenizerOf('llama-rope3');
  const [newline, broken, word] = [tokenizer.idOf('<0x0A>')!, tokenizer.idOf('<0xFF>')!, tokenizer.encode('the')[0]!];
  assert.deepEqual(pieces(tokenizer, [newline, broken]), ['\n', '\uFFFD', '']);
  assert.deepEqual(pieces(tokenizer, [newline, word]), ['\n', tokenizer.decode([newline, word]).slice(1), '']);
});

test('only the very first space of a SentencePiece output is dropped', () => {
  const tokenizer = tokenizerOf('llama-rope3');
  const [space] = tokenizer.encode('');
  assert.equal(space, undefined);
  const ids = tokenizer.encode('a  b');
  assert.equal(pieces(tokenizer, ids).join(''), 'a  b');
  assert.equal(pieces(tokenizer, [tokenizer.idOf('▁')!, ...ids]).join(''), ' a  b');
});

test('held bytes never contain a whole or a broken character', () => {
  const random = seededRandom(11);
  const streaming = new TextDecoder('utf-8', { ignoreBOM: true });
  for (let round = 0; round < 2000; round++) {
    const bytes = Uint8Array.from(
      { length: 1 + random.below(6) },
      () => [0x41, 0x80, 0xbf, 0xc2, 0xe0, 0xe4, 0xed, 0xf0, 0xf4, 0x9f, 0xa0, 0xff][random.below(12)]!,
    );
    const certain = streaming.decode(bytes, { stream: true });
    streaming.decode();
    const tail = incompleteTailLength(bytes);
    const prefix = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(0, bytes.length - tail));
    assert.equal(prefix, certain, [...bytes].map((byte) => byte.toString(16)).join(' '));
  }
});
