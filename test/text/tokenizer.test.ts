import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { StartupError } from '../../src/core/errors.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import { oracleDir } from '../support/oracles.ts';
import { MINI_DIR, readJson, textFixture, tokenizerOf, tokenizerOracles } from '../support/text-fixtures.ts';

interface TokenizerGolden {
  readonly text: string;
  readonly ids: readonly number[];
  readonly decoded: string;
  readonly decoded_skip_special: string;
}

interface RandomCases {
  readonly tokenizers: Readonly<
    Record<
      string,
      {
        readonly encode: readonly { readonly text: string; readonly ids: readonly number[] }[];
        readonly decode: readonly { readonly ids: readonly number[]; readonly decoded: string; readonly skipped: string }[];
      }
    >
  >;
}

const RANDOM = textFixture<RandomCases>('tokenizer-random.json').tokenizers;

for (const name of tokenizerOracles()) {
  test(`${name}: texts encode and decode as in transformers`, () => {
    const tokenizer = tokenizerOf(name);
    for (const golden of readJson<TokenizerGolden[]>(oracleDir(name), 'golden-tokenizer.json')) {
      assert.deepEqual(tokenizer.encode(golden.text), golden.ids, golden.text);
      assert.equal(tokenizer.decode(golden.ids), golden.decoded);
      assert.equal(tokenizer.decode(golden.ids, { skipSpecialTokens: true }), golden.decoded_skip_special);
    }
  });
}

for (const [name, { encode, decode }] of Object.entries(RANDOM)) {
  test(`${name}: random texts of many scripts, spaces and special tokens encode as in the Rust library`, () => {
    const tokenizer = tokenizerOf(name);
    for (const { text, ids } of encode) assert.deepEqual(tokenizer.encode(text), ids, JSON.stringify(text));
  });

  test(`${name}: random ids, halves of characters and unknown ids included, decode as in the Rust library`, () => {
    const tokenizer = tokenizerOf(name);
    for (const { ids, decoded, skipped } of decode) {
      assert.equal(tokenizer.decode(ids), decoded, String(ids));
      assert.equal(tokenizer.decode(ids, { skipSpecialTokens: true }), skipped, String(ids));
    }
  });
}

test('the bytes of a text’s tokens are the text', () => {
  for (const name of ['troupe-mini', 'qwen3', 'llama-rope3']) {
    const tokenizer = tokenizerOf(name);
    for (const text of ['The capital of France is Paris.', 'né 你好 😀👍🏽', ' two  spaces\n\n']) {
      const bytes = tokenizer.encode(text).flatMap((id) => [...tokenizer.tokenBytes(id)]);
      const decoded = new TextDecoder().decode(Uint8Array.from(bytes));
      // SentencePiece puts a space before the first word, which only decoding a whole output takes away.
      assert.equal(name === 'llama-rope3' ? decoded.slice(1) : decoded, text);
    }
  }
});

test('a token that is half a character shows as U+FFFD and has its own byte', () => {
  const tokenizer = tokenizerOf('llama-rope3');
  const id = tokenizer.idOf('<0xE4>')!;
  assert.equal(tokenizer.tokenText(id), 'bytes:\\xe4');
  assert.deepEqual([...tokenizer.tokenBytes(id)], [0xe4]);
});

test('special tokens are known by id and by name', () => {
  const mini = tokenizerOf('troupe-mini');
  assert.equal(mini.idOf('<|im_end|>'), 2);
  assert.equal(mini.idOf('no such token'), undefined);
  assert.equal(mini.isSpecial(2), true);
  assert.equal(mini.isSpecial(mini.idOf('<think>')!), false);
  assert.equal(mini.tokenText(2), '<|im_end|>');
  assert.deepEqual([mini.bosToken, mini.eosToken, mini.vocabSize], [null, '<|im_end|>', 4096]);
});

test('ids outside the vocabulary stand for no text', () => {
  const mini = tokenizerOf('troupe-mini');
  assert.equal(mini.decode([4096, 999_999, -1]), '');
  assert.equal(mini.tokenBytes(4096).length, 0);
});

test('a byte-order mark in a text is kept', () => {
  const mini = tokenizerOf('troupe-mini');
  assert.equal(mini.decode(mini.encode('\uFEFFa\uFEFF')), '\uFEFFa\uFEFF');
});

test('the empty text has no tokens', () => {
  assert.deepEqual(tokenizerOf('qwen3').encode(''), []);
  assert.equal(tokenizerOf('qwen3').decode([]), '');
});

/** A folder with a tokenizer of three words, changed by `change`. */
function folderWith(files: Readonly<Record<string, string>>, use: (dir: string) => void): void {
  const dir = mkdtempSync(join(tmpdir(), 'troupe-tokenizer-'));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
    use(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

const TINY = {
  version: '1.0',
  added_tokens: [{ id: 0, content: '<s>', special: true, normalized: false }],
  normalizer: null,
  pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' },
  post_processor: null as unknown,
  decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' } as unknown,
  model: { type: 'BPE', vocab: { '<s>': 0, '▁': 1, a: 2, b: 3, '▁a': 4, '▁b': 5 }, merges: ['▁ a', '▁ b'] },
};

test('Metaspace: the space before the first word goes, those between words stay', () => {
  folderWith({ 'tokenizer.json': JSON.stringify(TINY) }, (dir) => {
    const tokenizer = Tokenizer.load(dir);
    assert.deepEqual(tokenizer.encode('a b'), [4, 5]);
    assert.equal(tokenizer.decode([4, 5, 2]), 'a ba');
    assert.equal(tokenizer.decode([0, 4, 5]), '<s> a b');
    assert.equal(tokenizer.decode([0, 4, 5], { skipSpecialTokens: true }), 'a b');
  });
});

test('the special tokens around a text are those of the post-processor, and of add_bos_token in Llama’s class', () => {
  const template = {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] } },
  };
  const encode = (postProcessor: unknown, config: object) => {
    let ids: number[] = [];
    const files = {
      'tokenizer.json': JSON.stringify({ ...TINY, post_processor: postProcessor }),
      'tokenizer_config.json': JSON.stringify({ bos_token: '<s>', ...config }),
    };
    folderWith(files, (dir) => {
      const tokenizer = Tokenizer.load(dir);
      assert.deepEqual(tokenizer.encode('a'), [4]);
      ids = tokenizer.encode('a', { addSpecialTokens: true });
    });
    return ids;
  };
  assert.deepEqual(encode(template, {}), [0, 4]);
  assert.deepEqual(encode(null, {}), [4]);
  assert.deepEqual(encode(null, { tokenizer_class: 'LlamaTokenizerFast', add_bos_token: true }), [0, 4]);
  assert.deepEqual(encode(template, { tokenizer_class: 'LlamaTokenizerFast', add_bos_token: true }), [0, 4]);
  assert.deepEqual(encode(template, { tokenizer_class: 'LlamaTokenizerFast', add_bos_token: false }), [4]);
  assert.deepEqual(encode(null, { tokenizer_class: 'PreTrainedTokenizerFast', add_bos_token: true }), [4]);
});

test('a missing, damaged or unsupported tokenizer.json is a StartupError of one line that names the file', () => {
  const broken: Readonly<Record<string, RegExp>> = {
    '{"version"': /not valid JSON/,
    '{}': /not a usable tokenizer/,
    [JSON.stringify({ ...TINY, model: { type: 'Nothing' } })]: /not a usable tokenizer/,
    [JSON.stringify({ ...TINY, decoder: { type: 'WordPiece', prefix: '##', cleanup: true } })]: /unsupported decoder "WordPiece"/,
  };
  for (const [text, message] of Object.entries(broken)) {
    folderWith({ 'tokenizer.json': text }, (dir) => assertStartupError(dir, message));
  }
  folderWith({}, (dir) => assertStartupError(dir, /cannot be read/));
});

function assertStartupError(dir: string, message: RegExp): void {
  assert.throws(
    () => Tokenizer.load(dir),
    (error: unknown) =>
      error instanceof StartupError &&
      message.test(error.message) &&
      error.message.includes(join(dir, 'tokenizer.json')) &&
      !error.message.includes('\n'),
  );
}

test('the embedded model’s tokenizer is the one that made its golden prompts', () => {
  const mini = tokenizerOf('troupe-mini');
  const { cases } = readJson<{ cases: { rendered: string; prompt_token_ids: number[]; completion_token_ids: number[]; text: string }[] }>(
    MINI_DIR,
    'golden.json',
  );
  assert.ok(cases.length > 20);
  for (const golden of cases) {
    assert.deepEqual(mini.encode(golden.rendered), golden.prompt_token_ids);
    assert.equal(mini.decode(golden.completion_token_ids, { skipSpecialTokens: true }), golden.text);
  }
});
