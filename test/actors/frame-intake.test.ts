import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameIntake } from '../../src/actors/frame-intake.ts';
import type { Epoch } from '../../src/core/ids.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const EPOCH: Epoch = [4, 2];

function newIntake() {
  const clock = new VirtualClock();
  const asked: number[] = [];
  const unrepairable: string[] = [];
  const intake = new FrameIntake({
    clock,
    askReplay: (_id, _epoch, from) => void asked.push(from),
    onUnrepairable: (id) => void unrepairable.push(id),
  });
  const accept = (...seqs: number[]) => seqs.map((seq) => intake.accept('a', EPOCH, seq));
  return { clock, asked, unrepairable, intake, accept };
}

test('frames are taken in order and once', () => {
  const { accept, intake, asked } = newIntake();
  assert.deepEqual(accept(1, 2, 2, 1, 3), ['take', 'take', 'duplicate', 'duplicate', 'take']);
  assert.deepEqual(intake.acks(), [{ engineId: 'a', engineEpoch: EPOCH, frameSeq: 3 }]);
  assert.deepEqual(asked, []);
});

test('a gap asks for a replay from the first missing frame, at most every 100 ms', async () => {
  const { accept, asked, clock } = newIntake();
  assert.deepEqual(accept(1, 4, 5), ['take', 'gap', 'gap']);
  assert.deepEqual(asked, [2]);
  await clock.advance(100);
  accept(6);
  assert.deepEqual(asked, [2, 2]);
  assert.deepEqual(accept(2, 3, 4, 5, 6), ['take', 'take', 'take', 'take', 'take']);
});

test('a beat that knows of more frames asks for them', () => {
  const { accept, intake, asked } = newIntake();
  accept(1, 2);
  intake.noticed('a', EPOCH, 2);
  assert.deepEqual(asked, []);
  intake.noticed('a', EPOCH, 3);
  assert.deepEqual(asked, [3]);
});

test('a later epoch starts again at 1, and frames of the earlier one are stale', () => {
  const { accept, intake } = newIntake();
  accept(1, 2);
  assert.equal(intake.accept('a', [5, 1], 1), 'take');
  assert.deepEqual(accept(3), ['stale']);
  assert.equal(intake.accept('b', EPOCH, 1), 'take', 'engines are counted apart');
});

test('a gap that nothing fills is given up after five seconds and skipped', async () => {
  const { accept, intake, asked, unrepairable, clock } = newIntake();
  accept(1, 5);
  for (let i = 0; i < 21; i++) {
    await clock.advance(250);
    intake.noticed('a', EPOCH, 7);
  }
  assert.deepEqual(unrepairable, ['a']);
  assert.equal(asked.length, 21);
  assert.deepEqual(accept(7, 8), ['duplicate', 'take']);
});
