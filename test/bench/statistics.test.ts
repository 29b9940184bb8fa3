import assert from 'node:assert/strict';
import { test } from 'node:test';
import { median, percentile, summarize } from '../../bench/statistics.ts';

test('percentiles interpolate between neighbours as NumPy does', () => {
  // numpy.percentile([15, 20, 35, 40, 50], [0, 40, 50, 90, 99, 100])
  const values = [40, 15, 50, 20, 35];
  const found = [0, 40, 50, 90, 99, 100].map((percent) => percentile(values, percent));
  for (const [index, expected] of [15, 29, 35, 46, 49.6, 50].entries()) assert.ok(Math.abs(found[index]! - expected) < 1e-12);
});

test('the median of an even count is the mean of the two in the middle', () => {
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(median([7]), 7);
});

test('percentiles do not reorder the list they are given', () => {
  const values = [3, 1, 2];
  percentile(values, 90);
  assert.deepEqual(values, [3, 1, 2]);
});

test('a summary has the population standard deviation', () => {
  // numpy.std([2, 4, 4, 4, 5, 5, 7, 9]) = 2
  const summary = summarize([2, 4, 4, 4, 5, 5, 7, 9]);
  assert.equal(summary.mean, 5);
  assert.equal(summary.std, 2);
  assert.equal(summary.median, 4.5);
  assert.equal(summary.count, 8);
});

test('nothing measured sums up to zeros, but has no percentile', () => {
  assert.deepEqual(summarize([]), { count: 0, mean: 0, median: 0, std: 0, p50: 0, p90: 0, p95: 0, p99: 0 });
  assert.throws(() => percentile([], 50), RangeError);
  assert.throws(() => percentile([1], 101), RangeError);
});
