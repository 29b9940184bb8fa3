import assert from 'node:assert/strict';
import { test } from 'node:test';
import { poissonArrivals, randomWorkload, seededRandom } from '../../bench/random-workload.ts';

const shape = { numPrompts: 50, inputLen: 100, outputLen: 40, rangeRatio: 0, prefixLen: 0, vocabSize: 1000 };

test('a workload is the same for the same seed and another for another', () => {
  assert.deepEqual(randomWorkload(shape, seededRandom(1)), randomWorkload(shape, seededRandom(1)));
  assert.notDeepEqual(randomWorkload(shape, seededRandom(1)), randomWorkload(shape, seededRandom(2)));
});

test('lengths are exact without a range and lie inside it with one', () => {
  for (const request of randomWorkload(shape, seededRandom(1))) {
    assert.equal(request.promptIds.length, 100);
    assert.equal(request.outputLen, 40);
  }
  const varied = randomWorkload({ ...shape, numPrompts: 400, rangeRatio: 0.5 }, seededRandom(1)).map((request) => request.promptIds.length);
  assert.ok(Math.min(...varied) >= 50 && Math.min(...varied) < 55);
  assert.ok(Math.max(...varied) <= 150 && Math.max(...varied) > 145);
});

test('ids keep clear of the control tokens and inside the vocabulary', () => {
  const ids = randomWorkload(shape, seededRandom(3)).flatMap((request) => request.promptIds);
  assert.ok(Math.min(...ids) >= 300);
  assert.ok(Math.max(...ids) < 1000);
});

test('a shared prefix stands in front of every prompt, on top of its own length', () => {
  const workload = randomWorkload({ ...shape, prefixLen: 20 }, seededRandom(1));
  const prefix = workload[0]!.promptIds.slice(0, 20);
  for (const request of workload) {
    assert.equal(request.promptIds.length, 120);
    assert.deepEqual(request.promptIds.slice(0, 20), prefix);
  }
});

test('Poisson arrivals start at 0, never go back, and have the rate and the spread of the exponential distribution', () => {
  const arrivals = poissonArrivals(20_001, 50, seededRandom(7));
  const waits = arrivals.slice(1).map((time, index) => time - arrivals[index]!);
  const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length;
  const deviation = Math.sqrt(waits.reduce((sum, wait) => sum + (wait - mean) ** 2, 0) / waits.length);
  assert.equal(arrivals[0], 0);
  assert.ok(waits.every((wait) => wait >= 0));
  assert.ok(Math.abs(mean - 20) < 0.5, `mean ${mean} ms`);
  assert.ok(Math.abs(deviation - 20) < 0.7, `standard deviation ${deviation} ms`);
});

test('an infinite rate sends everything at once', () => {
  assert.deepEqual(poissonArrivals(3, Number.POSITIVE_INFINITY, seededRandom(1)), [0, 0, 0]);
});
