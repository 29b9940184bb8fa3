import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runOpenLoop } from '../../bench/open-loop.ts';

test('no more requests run together than allowed, and all run', async () => {
  let running = 0;
  let most = 0;
  const { results } = await runOpenLoop(new Array<number>(20).fill(0), 3, async (index) => {
    running++;
    most = Math.max(most, running);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
    return index;
  });
  assert.equal(most, 3);
  assert.deepEqual(
    results,
    Array.from({ length: 20 }, (_, index) => index),
  );
});

test('requests are sent whether or not earlier ones have been answered', async () => {
  const release: (() => void)[] = [];
  const { results } = await runOpenLoop([0, 0, 0], Number.POSITIVE_INFINITY, async (index) => {
    if (release.length === 2) for (const go of release) go();
    else await new Promise<void>((resolve) => release.push(resolve));
    return index;
  });
  assert.deepEqual(results, [0, 1, 2]);
});

test('the intended time is that of the arrival, also when the request had to wait', async () => {
  const arrivals = [0, 0, 5];
  const { results, startMs } = await runOpenLoop(arrivals, 1, async (_, intendedMs) => {
    await new Promise((resolve) => setImmediate(resolve));
    return intendedMs;
  });
  assert.deepEqual(
    results.map((time) => time - startMs),
    arrivals.map((time) => startMs + time - startMs),
  );
});
