import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LongTextEncoder } from '../../src/actors/long-text-encoder.ts';
import { PromptEncoder } from '../../src/actors/prompt-encoder.ts';
import type { Clock } from '../../src/core/clock.ts';
import { testTokenizer } from '../support/cluster.ts';
import { MINI_DIR } from '../support/mini-server.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const PLAIN = { addSpecialTokens: false };

/** Notes the lengths of what it encodes; a text's id is its length. */
function noted() {
  const lengths: number[] = [];
  const encode = (text: string): number[] => {
    if (text === 'bad') throw new Error('cannot be encoded');
    lengths.push(text.length);
    return [text.length];
  };
  return { lengths, encode };
}

test('after 16,384 characters everything else gets a turn before the next prompt, in order of arrival', async () => {
  const turns: (() => void)[] = [];
  const clock: Clock = { now: () => 0, monotonic: () => 0, setTimeout: (run) => turns.push(run), clearTimeout: () => {} };
  const { lengths, encode } = noted();
  const encoder = new PromptEncoder({ tokenizer: { encode }, clock });
  const all = Promise.all([9000, 9001, 9002, 9003, 5].map((length) => encoder.encode('x'.repeat(length), PLAIN)));
  assert.deepEqual(lengths, [9000, 9001]);
  turns.shift()?.();
  assert.deepEqual(lengths, [9000, 9001, 9002, 9003]);
  turns.shift()?.();
  assert.deepEqual(await all, [[9000], [9001], [9002], [9003], [5]]);
  assert.equal(turns.length, 0);
});

test('the text of a client that left is not encoded, and one that fails spoils no other', async () => {
  const clock = new VirtualClock();
  const { lengths, encode } = noted();
  const encoder = new PromptEncoder({ tokenizer: { encode }, clock });
  const controller = new AbortController();
  await encoder.encode('x'.repeat(16_384), PLAIN);
  const left = assert.rejects(encoder.encode('xx', PLAIN, controller.signal), { name: 'AbortError' });
  const failed = assert.rejects(encoder.encode('bad', PLAIN), /cannot be encoded/);
  const last = encoder.encode('xxx', PLAIN);
  controller.abort();
  await clock.advance(0);
  await Promise.all([left, failed]);
  assert.deepEqual([await last, lengths], [[3], [16_384, 3]]);
});

test('a batch of long prompts goes to the thread, and so does what would wait behind too many short ones', async () => {
  const inThread: number[] = [];
  const longTexts = { encode: async (text: string) => [inThread.push(text.length)] };
  const { lengths, encode } = noted();
  const encoder = new PromptEncoder({ tokenizer: { encode }, longTexts, clock: new VirtualClock() });
  await encoder.encode('x'.repeat(16_385), PLAIN);
  assert.deepEqual([lengths, inThread], [[], [16_385]]);
  for (let i = 0; i < 20; i++) void encoder.encode('x'.repeat(16_000), PLAIN);
  // Two were encoded at once, sixteen wait for their turn.
  assert.deepEqual([lengths.length, inThread.length], [2, 3]);
});

test('the thread gives the tokens of the tokenizer here, one text at a time, without those of clients that left', async (t) => {
  const encoder = new LongTextEncoder(MINI_DIR);
  t.after(() => encoder.close());
  const controller = new AbortController();
  const ended: string[] = [];
  const texts = ['a fox and 17 hens ', 'nobody waits ', 'once upon a time '].map((text) => text.repeat(300));
  const results = texts.map((text, i) =>
    encoder.encode(text, PLAIN, i === 1 ? controller.signal : undefined).finally(() => ended.push(text.slice(0, 5))),
  );
  const dropped = assert.rejects(results[1]!, { name: 'AbortError' });
  controller.abort();
  assert.deepEqual(await results[0], testTokenizer().encode(texts[0]!));
  assert.deepEqual(await results[2], testTokenizer().encode(texts[2]!));
  await dropped;
  assert.deepEqual(ended, ['a fox', 'nobod', 'once ']);
});
