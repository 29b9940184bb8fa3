/** One rank's end of a collective, with the others' pieces put on the board by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CollectiveBridge } from '../../../src/actors/collective-bridge.ts';
import { CollectiveError } from '../../../src/engine/collective/collective.ts';
import { type CollectiveMemory, newCollectiveMemory, SharedMemoryCollective } from '../../../src/engine/collective/shared-memory.ts';
import { addressOf } from '../../../src/engine/runner/ort-api.ts';
import { systemClock } from '../../../src/system-clock.ts';
import type { FrameLink } from '../../../src/transport/frame-link.ts';

const link = { peer: 'nobody', send() {}, onFrame() {}, onClosed() {}, close() {} } as FrameLink;

/** A piece of rank 1, as another process would send it. */
function receive(memory: CollectiveMemory, piece: number, step: number, tensor: number, values: Float32Array): void {
  const header = Int32Array.of(1, piece, step, tensor, 0, values.byteLength);
  const body = Buffer.concat([new Uint8Array(header.buffer), new Uint8Array(values.buffer)]);
  new CollectiveBridge(memory, [link], true).receive(link, body);
}

function exchange(collective: SharedMemoryCollective, values: Float32Array, rowBytes: number): number[][] {
  const parts: number[][] = [[], []];
  collective.exchange({
    from: Number(addressOf(values)),
    numRows: values.byteLength / rowBytes,
    rowBytes: [rowBytes, rowBytes],
    isForRoot: false,
    place: (rank, address, firstRow, numRows) => parts[rank]!.push(address, firstRow, numRows),
  });
  return parts;
}

const open = (memory: CollectiveMemory, deadlineMs: number): SharedMemoryCollective =>
  new SharedMemoryCollective({ rank: 0, memory, deadlineMs, clock: systemClock });

test('a rank that does not answer is named, with where it was missed', () => {
  const collective = open(newCollectiveMemory(2, 64), 20);
  collective.beginStep(7);
  assert.throws(
    () => exchange(collective, Float32Array.of(1, 2), 8),
    (error: unknown) =>
      error instanceof CollectiveError &&
      error.code === 'deadline' &&
      error.rank === 1 &&
      error.message === 'Rank 1 did not answer rank 0 within 20 ms (step 7, tensor 1).',
  );
});

test('a rank that is in another step is not mistaken for one that answers', () => {
  const memory = newCollectiveMemory(2, 64);
  const collective = open(memory, 20);
  receive(memory, 1, 6, 1, Float32Array.of(3, 4));
  collective.beginStep(7);
  assert.throws(() => exchange(collective, Float32Array.of(1, 2), 8), /Rank 1 is at step 6, tensor 1; rank 0 at step 7, tensor 1/);
});

test('what does not fit a slot goes in pieces of whole rows', () => {
  const memory = newCollectiveMemory(2, 64);
  const rowBytes = memory.slotBytes / 2;
  const collective = open(memory, 20);
  const numFloats = (3 * rowBytes) / 4;
  receive(memory, 1, 1, 1, new Float32Array(memory.slotBytes / 4));
  receive(memory, 2, 1, 1, new Float32Array(rowBytes / 4));
  collective.beginStep(1);
  const [own, others] = exchange(collective, new Float32Array(numFloats), rowBytes);
  assert.deepEqual([own![1], own![2], own![4], own![5]], [0, 2, 2, 1]);
  assert.deepEqual([others![1], others![2], others![4], others![5]], [0, 2, 2, 1]);
  assert.equal(collective.counters.numBytes, 3 * rowBytes);
});
