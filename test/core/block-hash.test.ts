import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { blockHash, rootHash } from '../../src/core/block-hash.ts';

const root = rootHash('model', '');

test('a block hash is 128 bits of SHA-256 over the parent and the ids as little-endian int32', () => {
  const bytes = Buffer.alloc(12);
  for (const [i, id] of [70000, 2, 3].entries()) bytes.writeInt32LE(id, i * 4);
  const expected = createHash('sha256').update(root).update(bytes).digest('hex').slice(0, 32);
  assert.equal(blockHash(root, [9, 70000, 2, 3, 9], 1, 4), expected);
});

test('equal ids after a different parent are another block', () => {
  const first = blockHash(root, [1, 2, 3, 4], 0, 4);
  const other = blockHash(root, [1, 2, 3, 5], 0, 4);
  const next = [0, 0, 0, 0, 7, 7, 7, 7];
  assert.notEqual(blockHash(first, next, 4, 8), blockHash(other, next, 4, 8));
});

test('fingerprint and cache salt cannot be mixed up, and each makes its own chain', () => {
  const roots = [rootHash('a', ''), rootHash('b', ''), rootHash('a', 'b'), rootHash('', 'ab'), rootHash('ab', ''), rootHash('a","', 'b')];
  assert.equal(new Set(roots).size, roots.length);
});
