/** XGrammar with troupe-mini's vocabulary: which ids a grammar allows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GrammarError, GrammarLibrary, type GrammarTokenizer, spellVocabulary } from '../../src/actors/grammar-library.ts';
import { testTokenizer } from '../support/cluster.ts';
import { ofRegex, ofText, structuralTag } from '../support/structural-tags.ts';

const tokenizer = testTokenizer();
const VOCAB_SIZE = 4160;
const END_IDS = [2, 0];
const TOOL_CALL = tokenizer.idOf('<tool_call>')!;

const load = (overrides: Partial<GrammarTokenizer> = {}): Promise<GrammarLibrary> =>
  GrammarLibrary.load({
    tokenizer: {
      vocabSize: tokenizer.vocabSize,
      tokenBytes: (id) => tokenizer.tokenBytes(id),
      tokenText: (id) => tokenizer.tokenText(id),
      isSpecial: (id) => tokenizer.isSpecial(id),
      ...overrides,
    },
    vocabSize: VOCAB_SIZE,
    endIds: END_IDS,
  });

/** Ids allowed after these. */
async function allowedAfter(library: GrammarLibrary, tag: string, ids: readonly number[] = []): Promise<number[]> {
  const matcher = await library.newMatcher(await library.compile(tag));
  for (const id of ids) assert.ok(matcher.acceptToken(id), `${id} is allowed`);
  const mask = await matcher.getNextTokenBitmask();
  assert.equal(mask.length, VOCAB_SIZE / 32);
  return Array.from({ length: VOCAB_SIZE }, (_, id) => id).filter((id) => ((mask[id >> 5]! >>> (id & 31)) & 1) === 1);
}

test('a literal allows exactly the tokens whose bytes begin it, also in the middle of a character', async () => {
  const library = await load();
  for (const text of ['hello', 'a b', '日本', '"\\\n\u0000é🎉']) {
    let rest = Buffer.from(text);
    const ids: number[] = [];
    while (rest.length > 0) {
      const expected = Array.from({ length: tokenizer.vocabSize }, (_, id) => id).filter((id) => {
        const bytes = tokenizer.tokenBytes(id);
        return bytes.length > 0 && !tokenizer.isSpecial(id) && rest.subarray(0, bytes.length).equals(bytes);
      });
      assert.deepEqual(await allowedAfter(library, ofText(text), ids), expected);
      ids.push(expected[0]!);
      rest = rest.subarray(tokenizer.tokenBytes(expected[0]!).length);
    }
    assert.deepEqual(await allowedAfter(library, ofText(text), ids), [...END_IDS].sort());
  }
});

test('no grammar allows special tokens or rows beyond the vocabulary as text', async () => {
  const allowed = await allowedAfter(await load(), structuralTag({ type: 'any_text' }));
  const forbidden = allowed.filter((id) => !END_IDS.includes(id) && (tokenizer.isSpecial(id) || id >= tokenizer.vocabSize));
  assert.deepEqual(forbidden, []);
  assert.ok(allowed.length > 4000);
});

test('where a marker is a special token, a tag that begins with it means the token, and a pattern with its name does not', async () => {
  const library = await load({ isSpecial: (id) => id === TOOL_CALL || tokenizer.isSpecial(id) });
  const tag = structuralTag({ type: 'tag', begin: '<tool_call>', content: { type: 'regex', pattern: '[0-9]' }, end: '</tool_call>' });
  assert.ok((await allowedAfter(library, tag)).includes(TOOL_CALL));
  assert.ok(!(await allowedAfter(library, ofRegex('<tool_call>'))).includes(TOOL_CALL));
});

test('every byte has its own printable spelling', () => {
  const spelled = spellVocabulary({ vocabSize: 256, tokenBytes: (id) => Uint8Array.of(id), tokenText: String, isSpecial: () => false });
  assert.equal(new Set(spelled).size, 256);
  assert.deepEqual([spelled[0x41], spelled[0x20], spelled[0x0a], spelled[0xff]], ['A', 'Ġ', 'Ċ', 'ÿ']);
});

test('an error carries the compiler’s words, and says whether the instance is still good', async () => {
  const library = await load();
  const error = async (tag: string): Promise<GrammarError> => {
    try {
      await library.compile(tag);
    } catch (cause) {
      assert.ok(cause instanceof GrammarError);
      return cause;
    }
    assert.fail('it compiled');
  };
  const exception = await error('{"type":"structural_tag","format":{"type":"nope"}}');
  assert.deepEqual([exception.isFatal, exception.message], [false, 'Invalid structural tag error: Format type not recognized: nope']);
  const abort = await error(ofRegex('[a'));
  assert.equal(abort.isFatal, true);
  assert.match(abort.message, /^Regex parsing error at position \d+: /);
});
