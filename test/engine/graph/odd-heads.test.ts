/** Head sizes that no kernel takes are padded in the weights; the results must not show it. Oracles: transformers 5.23.0, float32. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { readGolden } from '../../support/oracles.ts';
import { createTestRunner, maxAbsoluteDifference, RunnerDriver } from '../../support/runner-driver.ts';

const FIXTURES = resolve(import.meta.dirname, '../../fixtures');
const CASES = [
  { folder: 'odd-heads-qwen3', what: 'heads of 20, rotated by halves, with Q/K norms' },
  { folder: 'odd-heads-ernie4_5', what: 'heads of 24, rotated in pairs, with biases' },
];

for (const { folder, what } of CASES) {
  const modelDir = join(FIXTURES, folder);
  const golden = readGolden(modelDir, 33);

  test(`${what} give the logits and tokens of transformers`, () => {
    const { runner } = createTestRunner({ modelDir });
    const driver = new RunnerDriver(runner);
    const { logits, hidden } = driver.prefill(0, golden.inputIds);
    assert(maxAbsoluteDifference(logits, golden.logits) <= 2e-4);
    assert(maxAbsoluteDifference(hidden, golden.lastHidden) <= 2e-4);
    assert.deepEqual(driver.greedy(1, golden.inputIds, 48), Array.from(golden.greedyIds));
    runner.close();
  });

  test(`${what} survive wint8`, () => {
    const cacheDir = mkdtempSync(join(tmpdir(), 'troupe-odd-heads-'));
    try {
      const { runner } = createTestRunner({ modelDir, quantization: 'wint8', cacheDir });
      const { logits } = new RunnerDriver(runner).prefill(0, golden.inputIds);
      runner.close();
      const error = Math.hypot(...logits.map((value, i) => value - golden.logits[i]!)) / Math.hypot(...golden.logits);
      assert(error < 0.05, `relative error of the logits: ${error}`);
    } finally {
      rmSync(cacheDir, { recursive: true });
    }
  });
}
