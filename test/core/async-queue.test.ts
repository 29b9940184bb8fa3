import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AsyncQueue } from '../../src/core/async-queue.ts';

const readAll = async <T>(queue: AsyncQueue<T>): Promise<T[][]> => {
  const reads: T[][] = [];
  for await (const values of queue) reads.push([...values]);
  return reads;
};

test('a read takes everything that waits', async () => {
  const queue = new AsyncQueue<number>();
  const reading = readAll(queue);
  queue.push(1);
  queue.push(2);
  await new Promise((resolve) => setImmediate(resolve));
  queue.push(3);
  queue.end();
  queue.push(4);
  assert.deepEqual(await reading, [[1, 2], [3]]);
});

test('what waits is read before an error is thrown', async () => {
  const queue = new AsyncQueue<number>();
  queue.push(1);
  queue.fail(new Error('lost'));
  const reads: number[] = [];
  await assert.rejects(async () => {
    for await (const values of queue) reads.push(...values);
  }, /lost/);
  assert.deepEqual(reads, [1]);
});

test('leaving the loop early is told once, reaching the end is not', async () => {
  let numAbandoned = 0;
  const queue = new AsyncQueue<number>({ onAbandoned: () => numAbandoned++ });
  queue.push(1);
  for await (const _ of queue) break;
  queue.push(2);
  assert.deepEqual([numAbandoned, queue.numWaiting], [1, 0]);

  const finished = new AsyncQueue<number>({ onAbandoned: () => numAbandoned++ });
  finished.push(1);
  finished.end();
  for await (const _ of finished) break;
  assert.equal(numAbandoned, 1);
});

test('above maxWaiting, values are merged with the latest one they fit', async () => {
  const queue = new AsyncQueue<string>({
    maxWaiting: 3,
    merge: (waiting, next) => (waiting[0] === next[0] ? waiting + next.slice(1) : null),
  });
  for (const value of ['a1', 'b1', 'a2', 'b2', 'a3', 'c1']) queue.push(value);
  queue.end();
  assert.deepEqual(await readAll(queue), [['a1', 'b12', 'a23', 'c1']]);
});

test('a second reader is an error', () => {
  const queue = new AsyncQueue<number>();
  queue[Symbol.asyncIterator]();
  assert.throws(() => queue[Symbol.asyncIterator](), /one reader/);
});
