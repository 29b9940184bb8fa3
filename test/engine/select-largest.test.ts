import assert from 'node:assert/strict';
import { test } from 'node:test';
import { uniform } from '../../src/engine/random.ts';
import { selectLargest } from '../../src/engine/select-largest.ts';

const bySorting = (values: Float64Array, k: number): number[] =>
  Array.from(values.keys())
    .sort((a, b) => values[b]! - values[a]! || a - b)
    .slice(0, k);

test('the k largest are those that sorting puts first, lower ids first among equals', () => {
  for (const [size, numDistinct] of [
    [1, 1],
    [7, 3],
    [100, 10],
    [1000, 1_000_000],
  ] as const) {
    const values = Float64Array.from({ length: size }, (_, i) => Math.floor(uniform(BigInt(size), 0, i) * numDistinct));
    for (const k of new Set([1, Math.ceil(size / 3), size]))
      assert.deepEqual(Array.from(selectLargest(values, k)), bySorting(values, k), `${k} of ${size}`);
  }
});

test('-Infinity is selected only when nothing else is left', () => {
  const values = Float64Array.of(Number.NEGATIVE_INFINITY, 1, Number.NEGATIVE_INFINITY, 0);
  assert.deepEqual(Array.from(selectLargest(values, 3)), [1, 3, 0]);
});
