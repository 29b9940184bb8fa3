/** The embedded model on the runner alone, against the tokens that transformers gives. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { createTestRunner, RunnerDriver } from '../../support/runner-driver.ts';

const MODEL = resolve(import.meta.dirname, '../../../models/troupe-mini');

test('every golden completion of troupe-mini follows from its prompt ids', () => {
  const { cases } = JSON.parse(readFileSync(join(MODEL, 'golden.json'), 'utf8')) as {
    cases: { prompt_token_ids: number[]; completion_token_ids: number[] }[];
  };
  const { runner } = createTestRunner({ modelDir: MODEL, layout: { maxNumSeqs: 2, maxModelLen: 1024, blockSize: 16 } });
  const driver = new RunnerDriver(runner);
  for (const { prompt_token_ids: prompt, completion_token_ids: completion } of cases) {
    assert.deepEqual(driver.greedy(0, prompt, completion.length), completion);
    driver.release(0);
  }
  assert.equal(cases.length, 28);
  runner.close();
});
