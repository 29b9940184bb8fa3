/**
 * Ranks that share a model against transformers: the same greedy text and the same logits as one rank has, within the tolerance that
 * the order of sums needs. With four ranks the oracles' two KV heads are held twice.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { denseOracles, GOLDEN_LENGTHS, oracleDir, readGolden } from '../support/oracles.ts';
import { maxAbsoluteDifference, RunnerDriver } from '../support/runner-driver.ts';
import { createParallelRunner } from '../support/tensor-parallel.ts';

const TOLERANCE = 2e-4;

for (const name of denseOracles()) {
  for (const size of [2, 4]) {
    describe(`${name} on ${size} ranks`, () => {
      const dir = oracleDir(name);
      const { runner } = createParallelRunner(
        {
          modelDir: dir,
          quantization: 'none',
          device: 'cpu',
          threads: 1,
          layout: { maxNumSeqs: 8, maxModelLen: 512, blockSize: 16 },
          kvCacheMemoryBytes: 64 * 2 ** 20,
          maxNumBatchedTokens: 1024,
        },
        size,
      );
      const goldens = GOLDEN_LENGTHS.map((length) => readGolden(dir, length));
      after(() => runner.close());
      const driver = new RunnerDriver(runner);

      test('prompt logits and last hidden states agree', () => {
        for (const golden of goldens) {
          const { logits, hidden } = driver.prefill(0, golden.inputIds, 64);
          assertClose(logits, golden.logits, `logits of ${golden.inputIds.length} tokens`);
          assertClose(hidden, golden.lastHidden, `hidden states of ${golden.inputIds.length} tokens`);
          driver.release(0);
        }
      });

      test('greedy continuations and their logits agree with all eight in one batch', () => {
        const rows = goldens.map((golden, slot) => ({ golden, slot, ids: [] as number[] }));
        for (let step = 0; step < 48; step++) {
          const results = driver.step(
            rows.map(({ golden, slot, ids }) => {
              const tokenIds = step === 0 ? golden.inputIds : [ids.at(-1)!];
              return { slot, tokenIds, needs: 'full', numLogits: 1 };
            }),
          );
          for (const [i, { golden, ids }] of rows.entries()) {
            const result = results[i];
            assert(result?.type === 'full');
            const { vocabSize } = runner;
            const expected = golden.greedyLogits.subarray(step * vocabSize, (step + 1) * vocabSize);
            assertClose(result.logits, expected, `step ${step} after ${golden.inputIds.length} tokens`);
            ids.push(result.logits.indexOf(Math.max(...result.logits)));
          }
        }
        for (const { golden, ids, slot } of rows) {
          assert.deepEqual(ids, Array.from(golden.greedyIds), `${golden.inputIds.length} tokens`);
          driver.release(slot);
        }
      });
    });
  }
}

function assertClose(actual: Float32Array, expected: Float32Array, what: string): void {
  const difference = maxAbsoluteDifference(actual, expected);
  assert(difference <= TOLERANCE, `${what}: off by ${difference}`);
}
