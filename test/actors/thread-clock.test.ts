import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ownThreadClock, threadMs } from '../../src/actors/thread-clock.ts';

const skip = process.platform !== 'linux' && 'Linux only';

test('the clock runs with the computing of its thread', { skip }, () => {
  const clock = ownThreadClock();
  const before = threadMs(clock)!;
  let spins = 0;
  while (threadMs(clock)! < before + 50) spins++;
  assert.ok(spins > 0);
});

test('without a clock there is no time', () => {
  assert.equal(threadMs(null), null);
  assert.equal(threadMs('/proc/self/task/0/stat'), null);
});
