import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameRing } from '../../src/actors/frame-ring.ts';

const frame = (seq: number): Uint8Array => Uint8Array.of(seq, 0, 0, 0);
const seqs = (frames: readonly Uint8Array[]): number[] => frames.map((bytes) => bytes[0]!);

function ringOf(numFrames: number, limits: ConstructorParameters<typeof FrameRing>[0] = {}): FrameRing {
  const ring = new FrameRing(limits);
  for (let seq = 1; seq <= numFrames; seq++) {
    assert.equal(ring.nextSeq, seq);
    ring.push(frame(seq));
  }
  return ring;
}

test('frames are kept until acknowledged, and replayed from any that is held', () => {
  const ring = ringOf(5);
  assert.deepEqual(seqs(ring.from(2)), [2, 3, 4, 5]);
  ring.acknowledge(3);
  assert.deepEqual(seqs(ring.from(4)), [4, 5]);
  assert.deepEqual(ring.from(3), [], 'a hole at the beginning would be no replay');
  assert.deepEqual(ring.from(6), []);
  assert.equal(ring.numBytes, 8);
  ring.acknowledge(2);
  ring.acknowledge(5);
  assert.deepEqual([ring.isEmpty, ring.numBytes, ring.nextSeq], [true, 0, 6]);
});

test('an acknowledgement of frames that were never sent drops no more than there is', () => {
  const ring = ringOf(2);
  ring.acknowledge(100);
  assert.deepEqual([ring.isEmpty, ring.nextSeq], [true, 3]);
});

test('the oldest frames give way when there are too many, or too many bytes', () => {
  assert.deepEqual(seqs(ringOf(5, { maxFrames: 3 }).from(3)), [3, 4, 5]);
  assert.deepEqual(ringOf(5, { maxFrames: 3 }).from(2), []);
  const ring = ringOf(5, { maxBytes: 11 });
  assert.deepEqual([seqs(ring.from(4)), ring.numBytes], [[4, 5], 8]);
});

test('clearing keeps the numbers going', () => {
  const ring = ringOf(3);
  ring.clear();
  assert.deepEqual([ring.nextSeq, ring.isEmpty, ring.numBytes], [4, true, 0]);
});
