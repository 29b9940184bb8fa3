/** The runner against transformers: every dense checkpoint, every prompt, float32. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { denseOracles, GOLDEN_LENGTHS, oracleDir, readGolden } from '../support/oracles.ts';
import { createTestRunner, maxAbsoluteDifference, RunnerDriver } from '../support/runner-driver.ts';

const TOLERANCE = 2e-4;
/** Of the shared oracles; a folder with more is welcome. */
const AT_LEAST = ['ernie4_5', 'ernie4_5-bias', 'llama-rope3', 'llama-linear-tied', 'mistral-window', 'qwen2', 'qwen3', 'qwen3-yarn'];

for (const name of new Set([...AT_LEAST, ...denseOracles()])) {
  describe(name, () => {
    const dir = oracleDir(name);
    const { runner } = createTestRunner({ modelDir: dir });
    const goldens = GOLDEN_LENGTHS.map((length) => readGolden(dir, length));
    after(() => runner.close());

    for (const chunk of [512, 16]) {
      test(`prompt logits and last hidden states agree, in chunks of ${chunk}`, () => {
        const driver = new RunnerDriver(runner);
        for (const golden of goldens) {
          const { logits, hidden } = driver.prefill(0, golden.inputIds, chunk);
          assertClose(logits, golden.logits, `logits of ${golden.inputIds.length} tokens`);
          assertClose(hidden, golden.lastHidden, `hidden states of ${golden.inputIds.length} tokens`);
          driver.release(0);
        }
      });
    }

    test('greedy continuations and their logits agree, one at a time', () => {
      const driver = new RunnerDriver(runner);
      for (const golden of goldens) {
        const vocabSize = golden.greedyLogits.length / golden.greedyIds.length;
        let next: ArrayLike<number> = golden.inputIds;
        for (const [i, expected] of golden.greedyIds.entries()) {
          const [result] = driver.step([{ slot: 0, tokenIds: next, needs: 'full', numLogits: 1 }]);
          assert(result?.type === 'full');
          const row = golden.greedyLogits.subarray(i * vocabSize, (i + 1) * vocabSize);
          assertClose(result.logits, row, `step ${i} after ${golden.inputIds.length} tokens`);
          assert.equal(argmax(result.logits), expected);
          next = [expected];
        }
        driver.release(0);
      }
    });

    test('greedy continuations agree with all eight in one batch', () => {
      const driver = new RunnerDriver(runner);
      const rows = goldens.map((golden, slot) => ({ golden, slot, ids: [] as number[] }));
      const prompts = driver.step(rows.map(({ golden, slot }) => ({ slot, tokenIds: golden.inputIds, needs: 'argmax', numLogits: 1 })));
      for (const [i, row] of rows.entries()) row.ids.push(tokenOf(prompts[i]));
      for (let step = 1; step < 48; step++) {
        const results = driver.step(rows.map(({ slot, ids }) => ({ slot, tokenIds: [ids.at(-1)!], needs: 'argmax', numLogits: 1 })));
        for (const [i, row] of rows.entries()) row.ids.push(tokenOf(results[i]));
      }
      for (const { golden, ids, slot } of rows) {
        assert.deepEqual(ids, Array.from(golden.greedyIds), `${golden.inputIds.length} tokens`);
        driver.release(slot);
      }
    });
  });
}

function assertClose(actual: Float32Array, expected: Float32Array, what: string): void {
  const difference = maxAbsoluteDifference(actual, expected);
  assert(difference <= TOLERANCE, `${what}: off by ${difference}`);
}

function argmax(logits: Float32Array): number {
  return logits.reduce((best, value, id) => (value > logits[best]! ? id : best), 0);
}

function tokenOf(result: { type: string; tokenIds?: Int32Array } | undefined): number {
  assert(result?.type === 'argmax' && result.tokenIds !== undefined);
  return result.tokenIds[0]!;
}
