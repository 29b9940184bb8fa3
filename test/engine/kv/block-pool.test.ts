import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockPool } from '../../../src/engine/kv/block-pool.ts';

test('blocks are given out from the low end and age in the order of their last use', () => {
  const pool = new BlockPool(3);
  assert.deepEqual([pool.allocate(), pool.allocate(), pool.allocate()], [0, 1, 2]);
  pool.touch(0);
  assert.equal(pool.oldest, 1);
  pool.free(1);
  assert.equal(pool.oldest, 2);
  pool.touch(0);
  pool.touch(2);
  assert.equal(pool.oldest, 0);
});

test('a freed block is the next one given out', () => {
  const pool = new BlockPool(3);
  for (let i = 0; i < 3; i++) pool.allocate();
  pool.free(1);
  assert.equal(pool.numHeld, 2);
  assert.equal(pool.isHeld(1), false);
  assert.equal(pool.allocate(), 1);
});

test('an empty pool has no oldest block', () => {
  const pool = new BlockPool(1);
  assert.equal(pool.oldest, null);
  pool.free(pool.allocate());
  assert.equal(pool.oldest, null);
});

test('allocating from a full pool and freeing twice are broken invariants', () => {
  const pool = new BlockPool(1);
  pool.allocate();
  assert.throws(() => pool.allocate(), /all 1 blocks/);
  pool.free(0);
  assert.throws(() => pool.free(0), /block 0 is freed twice/);
});
