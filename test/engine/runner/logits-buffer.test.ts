import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LogitsBuffer } from '../../../src/engine/runner/logits-buffer.ts';
import type { OrtSession } from '../../../src/engine/runner/ort-session.ts';

const VOCAB = 100_000;
const { NaN: NOT_A_NUMBER, POSITIVE_INFINITY: INF, NEGATIVE_INFINITY: MINUS_INF } = Number;
/** The buffer asks its session for tensors only; nothing here needs one. */
const NO_SESSION = {} as OrtSession;

/** The buffer's argmax of one row, which is `background` but for the values given by id. */
function argmax(background: number, values: Readonly<Record<number, number>>): number {
  const buffer = new LogitsBuffer(NO_SESSION, VOCAB, 1, 3);
  const row = buffer.rows(1, 1).fill(background);
  for (const [id, value] of Object.entries(values)) row[Number(id)] = value;
  return buffer.argmax(1, 1)[0]!;
}

test('the best token is the highest logit, the lowest id of equals', () => {
  assert.equal(argmax(-3, { 70000: 2, 80000: 2, 90000: 1 }), 70_000);
  assert.equal(argmax(0, {}), 0);
  assert.equal(argmax(-1, { [VOCAB - 1]: -0.5 }), VOCAB - 1);
});

test('tokens at -Infinity are passed over while another is left', () => {
  assert.equal(argmax(MINUS_INF, { 5: -1e30 }), 5);
  assert.equal(argmax(0, { 0: MINUS_INF, 7: 1 }), 7);
});

test('a NaN anywhere, +Infinity, or nothing but -Infinity has no best token', () => {
  for (const id of [0, 1, 50_000, VOCAB - 1]) {
    assert.equal(argmax(0, { [id]: NOT_A_NUMBER, 3: 9 }), -1, `NaN at ${id}`);
    assert.equal(argmax(0, { [id]: INF }), -1, `Infinity at ${id}`);
  }
  assert.equal(argmax(NOT_A_NUMBER, {}), -1);
  assert.equal(argmax(MINUS_INF, {}), -1);
});

test('each row is judged alone', () => {
  const buffer = new LogitsBuffer(NO_SESSION, 4, 1, 3);
  buffer.rows(0, 3).set([0, 1, 0, 0, NOT_A_NUMBER, 5, 5, 5, 0, 0, 0, 1]);
  assert.deepEqual(Array.from(buffer.argmax(0, 3)), [1, -1, 3]);
});
