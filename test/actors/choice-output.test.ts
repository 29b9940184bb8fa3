import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChoiceOutput } from '../../src/actors/choice-output.ts';
import type { TextDelta, TokenLogprob } from '../../src/core/generation.ts';
import { ChoiceText } from '../../src/text/choice-text.ts';
import { testTokenizer } from '../support/cluster.ts';

const tokenizer = testTokenizer();
const END_OF_TURN = 2;

/** Every token in a push of its own, as an engine sends them. */
function run(ids: readonly number[], options: { readonly stop?: readonly string[]; readonly skipSpecialTokens?: boolean } = {}) {
  const { stop = [], skipSpecialTokens = true } = options;
  const text = new ChoiceText({
    tokenizer,
    skipSpecialTokens,
    stop,
    includeStopStrInOutput: false,
    reasoning: null,
    stopTokenIds: new Set(),
  });
  const output = new ChoiceOutput({ index: 0, text, tokens: tokenizer, wantTokenIds: false, wantLogprobs: true });
  const deltas: TextDelta[] = [];
  for (const [i, id] of ids.entries()) {
    const { delta, finish } = output.push([id], [[-1, [], []]], i === ids.length - 1 ? 'length' : null);
    if (delta) deltas.push(delta);
    if (finish) break;
  }
  const logprobs: TokenLogprob[] = deltas.flatMap((delta) => delta.logprobs ?? []);
  return {
    text: deltas.map((delta) => delta.text).join(''),
    last: deltas.at(-1),
    logprobs,
    offsets: logprobs.map((entry) => entry.textOffset),
  };
}

test('every piece of a character begins where the character does, and has a name of its own', () => {
  const ids = tokenizer.encode('ab👍c');
  const thumb = ids.filter((id) => tokenizer.piece(id)?.text === null);
  assert.ok(thumb.length > 1, 'the character spans several tokens');
  const { text, logprobs } = run(ids);
  assert.equal(text, 'ab👍c');
  const pieces = logprobs.filter(({ tokenId }) => thumb.includes(tokenId));
  assert.deepEqual([...new Set(pieces.map(({ textOffset }) => textOffset))], [2]);
  assert.deepEqual(
    pieces.map(({ token }) => token.replace('bytes:', '')).join(''),
    [...Buffer.from('👍')].map((byte) => `\\x${byte.toString(16)}`).join(''),
  );
  assert.deepEqual(logprobs.at(-1)?.textOffset, 3, 'one code point, not two UTF-16 units');
});

test('a special token that is not shown takes no room', () => {
  const [a, b] = [tokenizer.encode('a'), tokenizer.encode('b')];
  const ids = [...a, END_OF_TURN, ...b];
  assert.deepEqual([run(ids).text, run(ids).offsets], ['ab', [0, 1, 1]]);
  const shown = run(ids, { skipSpecialTokens: false });
  assert.deepEqual([shown.text, shown.offsets], ['a<|im_end|>b', [0, 1, 1 + '<|im_end|>'.length]]);
});

test('the last delta names the stop string that ended the choice', () => {
  assert.equal(run(tokenizer.encode('one two three'), { stop: ['zzz', ' two'] }).last?.stopString, ' two');
  assert.equal(run(tokenizer.encode('one two three'), { stop: ['zzz'] }).last?.stopString, undefined);
});

test('tokens of a stop string begin where the text ends', () => {
  const { text, offsets } = run(tokenizer.encode('one two three'), { stop: [' two three'] });
  assert.equal(text, 'one');
  assert.ok(
    offsets.every((offset) => offset <= 3),
    offsets.join(),
  );
  assert.equal(offsets.at(-1), 3);
});
