/** The sum over ranks, as the decoder's graph does it, against plain float32 additions in rank order: bit for bit, on every rank. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { newCollectiveMemory } from '../../../src/engine/collective/shared-memory.ts';
import { randomTensor } from '../../support/random-tensors.ts';

const NUM_TENSORS = 10_000;
const ENTRY = new URL('../../support/reduction-worker.ts', import.meta.url).href;

for (const size of [2, 4]) {
  test(`${NUM_TENSORS} random tensors add up to the same bits on each of ${size} ranks`, async (t) => {
    const memory = newCollectiveMemory(size, 1024);
    const turn = new SharedArrayBuffer(4);
    const answers = await Promise.all(
      Array.from({ length: size }, async (_, rank) => {
        const seat = { memory, deadlineMs: 60_000, turn, index: rank };
        const tsx = JSON.stringify(import.meta.resolve('tsx/esm/api'));
        const script = `import(${tsx}).then(({ register }) => { register(); return import(${JSON.stringify(ENTRY)}); });`;
        const worker = new Worker(script, { eval: true, workerData: { seat, rank, numTensors: NUM_TENSORS } });
        const [answer] = await once(worker, 'message');
        return answer as { digest: string; counters: { seconds: number } };
      }),
    );
    const expected = createHash('sha256');
    for (let index = 0; index < NUM_TENSORS; index++) expected.update(sumInRankOrder(index, size));
    const digest = expected.digest('hex');
    assert.deepEqual(
      answers.map((answer) => answer.digest),
      new Array(size).fill(digest),
    );
    t.diagnostic(`${size} ranks: ${((answers[0]!.counters.seconds / NUM_TENSORS) * 1e6).toFixed(0)} µs an exchange`);
  });
}

function sumInRankOrder(index: number, size: number): Float32Array {
  const sum = randomTensor(index, 0);
  for (let rank = 1; rank < size; rank++) {
    const part = randomTensor(index, rank);
    for (let i = 0; i < sum.length; i++) sum[i]! += part[i]!;
  }
  return sum;
}
