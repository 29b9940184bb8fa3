/** Steps on several ranks: what a rank must not run, and what becomes of a step when another rank does not come. */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { exchangedRowBytes } from '../../../src/actors/rank-group.ts';
import { StartupError } from '../../../src/core/errors.ts';
import { CollectiveError } from '../../../src/engine/collective/collective.ts';
import { newCollectiveMemory, SharedMemoryCollective } from '../../../src/engine/collective/shared-memory.ts';
import { createRunner, type RunnerSpec } from '../../../src/engine/runner/create-runner.ts';
import { FollowerRunner, StepRefusedError } from '../../../src/engine/runner/group-runner.ts';
import type { ModelRunner } from '../../../src/engine/runner/model-runner.ts';
import type { StepInput } from '../../../src/engine/step.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { RunnerDriver } from '../../support/runner-driver.ts';

const MODEL = resolve(import.meta.dirname, '../../../models/troupe-mini');
const SPEC: RunnerSpec = {
  modelDir: MODEL,
  quantization: 'none',
  device: 'cpu',
  threads: 1,
  layout: { maxNumSeqs: 2, maxModelLen: 128, blockSize: 16 },
  kvCacheMemoryBytes: 8 * 2 ** 20,
  maxNumBatchedTokens: 64,
};

function openRank(rank: number, size: number, spec: Partial<RunnerSpec> = {}): ReturnType<typeof createRunner> {
  const memory = newCollectiveMemory(size, exchangedRowBytes(256, 4096, size));
  const collective = new SharedMemoryCollective({ rank, memory, deadlineMs: 20, clock: systemClock });
  return createRunner({ ...SPEC, ...spec, tensorParallel: { rank, size } }, () => {}, collective);
}

test('a rank that never comes ends the step with the collective’s own error', () => {
  const { runner } = openRank(0, 2);
  const work = { slot: 0, tokenIds: [5, 6, 7], needs: 'argmax', numLogits: 1 } as const;
  assert.throws(() => new RunnerDriver(runner).step([work]), CollectiveError);
  runner.close();
});

test('the budget of the KV cache is shared: each of two ranks holds the same blocks as one rank alone', () => {
  const whole = createRunner(SPEC);
  const half = openRank(1, 2);
  assert.equal(half.numBlocks, whole.numBlocks);
  assert.equal(half.runner.bytesPerBlock, whole.runner.bytesPerBlock / 2);
  assert.notEqual(half.fingerprint, whole.fingerprint);
  half.runner.close();
  whole.runner.close();
});

test('where KV heads are held twice, the same budget holds half the blocks', () => {
  const whole = createRunner(SPEC);
  const quarter = openRank(3, 4);
  assert.equal(quarter.numBlocks, Math.floor(whole.numBlocks / 2));
  quarter.runner.close();
  whole.runner.close();
});

test('what cannot be cut is refused in one line', () => {
  const refuses = (size: number, spec: Partial<RunnerSpec>, message: RegExp): void =>
    assert.throws(
      () => openRank(0, size, spec),
      (error: unknown) => error instanceof StartupError && message.test(error.message),
    );
  refuses(3, {}, /4 attention heads cannot be divided by 3/);
  refuses(4, { quantization: 'wint8' }, /wint8 blocks of its attention output span 128 inputs, and a rank has 64/);
  refuses(2, { device: 'webgpu' }, /--device cpu only/);
});

test('a rank refuses steps of another group and steps after a lost one', () => {
  const ran: number[] = [];
  const runner = { submit: (step: StepInput) => ran.push(step.stepId), collect: () => ({}) } as unknown as ModelRunner;
  const follower = new FollowerRunner(runner, [2, 1]);
  const step = (stepId: number, groupEpoch: [number, number] = [2, 1]): StepInput => ({
    groupEpoch,
    stepId,
    kvOps: [],
    tokenIds: new Int32Array(),
    sequences: [],
  });
  follower.run(step(1));
  assert.throws(() => follower.run(step(2, [1, 9])), StepRefusedError);
  assert.throws(() => follower.run(step(3)), /Step 3 came after step 1/);
  follower.run(step(2));
  assert.deepEqual(ran, [1, 2]);
});
