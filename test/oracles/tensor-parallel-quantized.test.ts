/**
 * wint8 and wint4 on two ranks against one. Blocks are cut after they were quantised, so only the order of sums differs; but activations
 * are rounded to 8 bits, and a last bit decides some of those roundings: distributions move a little, by far less than quantising moved
 * them. A wrong row, block or scale would be whole nats.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { createRunner, type RunnerSpec } from '../../src/engine/runner/create-runner.ts';
import { RunnerDriver } from '../support/runner-driver.ts';
import { createParallelRunner } from '../support/tensor-parallel.ts';

/** Mean KL divergence, in nats. */
const TOLERANCE = { none: 1e-8, wint8: 5e-4, wint4: 5e-4 };
const MODEL = resolve(import.meta.dirname, '../../models/troupe-mini');
const { cases } = JSON.parse(readFileSync(join(MODEL, 'golden.json'), 'utf8')) as {
  cases: { prompt_token_ids: number[]; completion_token_ids: number[] }[];
};
const PROMPT = Int32Array.from(cases.flatMap((golden) => [...golden.prompt_token_ids, ...golden.completion_token_ids]).slice(0, 120));
const cacheDir = mkdtempSync(join(tmpdir(), 'troupe-quantized-'));
after(() => rmSync(cacheDir, { recursive: true }));

for (const quantization of ['none', 'wint8', 'wint4'] as const) {
  test(`${quantization} on two ranks gives the distributions of one`, (t) => {
    const spec: RunnerSpec = {
      modelDir: MODEL,
      quantization,
      device: 'cpu',
      threads: 1,
      layout: { maxNumSeqs: 2, maxModelLen: 128, blockSize: 16 },
      kvCacheMemoryBytes: 16 * 2 ** 20,
      maxNumBatchedTokens: 128,
      cacheDir,
    };
    const one = createRunner(spec).runner;
    const expected = new RunnerDriver(one).prefill(0, PROMPT);
    one.close();
    const two = createParallelRunner(spec, 2).runner;
    const found = new RunnerDriver(two).prefill(0, PROMPT);
    two.close();
    const kl = meanDivergence(expected.logits, found.logits, 4096);
    t.diagnostic(`${quantization}: mean KL ${kl.toExponential(2)}`);
    assert.ok(kl <= TOLERANCE[quantization], `mean KL ${kl}`);
  });
}

function meanDivergence(expected: Float32Array, found: Float32Array, vocabSize: number): number {
  let sum = 0;
  const numRows = expected.length / vocabSize;
  for (let row = 0; row < numRows; row++) {
    const p = logSoftmax(expected.subarray(row * vocabSize, (row + 1) * vocabSize));
    const q = logSoftmax(found.subarray(row * vocabSize, (row + 1) * vocabSize));
    for (let id = 0; id < vocabSize; id++) sum += Math.exp(p[id]!) * (p[id]! - q[id]!);
  }
  return sum / numRows;
}

function logSoftmax(logits: Float32Array): Float64Array {
  const highest = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const logSum = Math.log(logits.reduce((sum, value) => sum + Math.exp(value - highest), 0)) + highest;
  return Float64Array.from(logits, (value) => value - logSum);
}
