/** Does a row's result depend on its neighbours? Never beyond rounding; this prints whether it is equal to the last bit. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { createTestRunner, maxAbsoluteDifference, RunnerDriver } from '../../support/runner-driver.ts';

const MODEL = resolve(import.meta.dirname, '../../../models/troupe-mini');
const BATCHES = [1, 2, 8, 32];
const cacheDir = mkdtempSync(join(tmpdir(), 'troupe-invariance-'));
after(() => rmSync(cacheDir, { recursive: true }));

for (const quantization of ['none', 'wint8', 'wint4'] as const) {
  test(`${quantization}: a row's logits at batch 1, 2, 8 and 32 agree to rounding`, (t) => {
    const { runner } = createTestRunner({ modelDir: MODEL, quantization, cacheDir });
    const driver = new RunnerDriver(runner);
    const promptOf = (row: number) => Int32Array.from({ length: 20 + 3 * row }, (_, i) => 5 + ((i * 97 + row * 31) % 4000));
    const logits = BATCHES.map((batchSize) => {
      const rows = Array.from({ length: batchSize }, (_, slot) => ({
        slot,
        tokenIds: promptOf(slot),
        needs: 'none' as const,
        numLogits: 0,
      }));
      for (const work of rows) driver.step([work]);
      const results = driver.step(rows.map(({ slot }) => ({ slot, tokenIds: [7 + slot], needs: 'full', numLogits: 1 })));
      for (const { slot } of rows) driver.release(slot);
      const first = results[0];
      assert(first?.type === 'full');
      return first.logits;
    });
    runner.close();
    const differences = logits.map((row) => maxAbsoluteDifference(row, logits[0]!));
    const verdict = BATCHES.map(
      (batchSize, i) => `${batchSize}: ${differences[i] === 0 ? 'bit-identical' : `off by ${differences[i]!.toExponential(1)}`}`,
    );
    t.diagnostic(`${quantization}: row 0 against batch 1: ${verdict.join(', ')}`);
    // Activations are rounded to 8 bits, so a last-bit difference in float32 can move a rounding border.
    const tolerance = quantization === 'none' ? 1e-4 : 5e-2;
    assert(Math.max(...differences) <= tolerance, verdict.join(', '));
  });
}
