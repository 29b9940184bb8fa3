import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StartupError } from '../../../src/core/errors.ts';
import { DeviceKvStore } from '../../../src/engine/runner/device-kv-store.ts';

/** 2 layers, 1 head of 8: a token takes 128 bytes, a row of 64 tokens 8192. */
const shape = {
  numLayers: 2,
  numKvHeads: 1,
  headDim: 8,
  maxNumSeqs: 4,
  capacity: 64,
  blockSize: 16,
  numPoolBlocks: 0,
  budgetBytes: 4 * 8192,
};

test('every row fits into the budget to the byte', () => {
  assert.equal(new DeviceKvStore(shape).bytesPerBlock, 16 * 128);
});

test('too many rows are refused with the flags, the numbers, and how many would fit', () => {
  const messageFor = (budgetBytes: number): string => {
    try {
      new DeviceKvStore({ ...shape, budgetBytes });
    } catch (error) {
      assert.ok(error instanceof StartupError);
      return error.message;
    }
    throw new Error('it was not refused');
  };
  assert.match(messageFor(4 * 8192 - 1), /--max-num-seqs 4 times 8192 bytes \(64 tokens\) are 32768, and --kv-cache-memory-bytes is 32767/);
  assert.match(messageFor(4 * 8192 - 1), /--max-num-seqs 3 fits; otherwise lower --max-model-len or raise --kv-cache-memory-bytes\.$/);
  assert.match(messageFor(8191), /8191\. Lower --max-model-len or raise/);
});
