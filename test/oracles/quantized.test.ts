/**
 * How far wint8 and wint4 move the distributions away from float32: mean KL divergence and how often the best token stays the same.
 * Only troupe-mini is a trained model. The oracles' weights are random and their rows short (64 inputs in one block), which makes
 * their bounds looser; they are there to catch a wrong scale, nibble or block, which would give a KL of whole nats.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { denseOracles, oracleDir, readGolden } from '../support/oracles.ts';
import { createTestRunner, RunnerDriver } from '../support/runner-driver.ts';

interface Bound {
  /** Mean KL divergence from float32, in nats. */
  readonly kl: number;
  /** Share of positions whose best token is the same. */
  readonly top1: number;
}

const TROUPE_MINI = resolve(import.meta.dirname, '../../models/troupe-mini');
const ON_TROUPE_MINI: Record<'wint8' | 'wint4', Bound> = { wint8: { kl: 0.0005, top1: 0.99 }, wint4: { kl: 0.03, top1: 0.94 } };
const ON_RANDOM_WEIGHTS: Record<'wint8' | 'wint4', Bound> = { wint8: { kl: 0.015, top1: 0.9 }, wint4: { kl: 1, top1: 0.33 } };

const cacheDir = mkdtempSync(join(tmpdir(), 'troupe-quantized-'));
after(() => rmSync(cacheDir, { recursive: true }));

for (const quantization of ['wint8', 'wint4'] as const) {
  test(`${quantization} stays near float32 on troupe-mini`, (t) => {
    const { cases } = JSON.parse(readFileSync(join(TROUPE_MINI, 'golden.json'), 'utf8')) as { cases: GoldenCase[] };
    const texts = cases.map(({ prompt_token_ids: prompt, completion_token_ids: completion }) =>
      Int32Array.from([...prompt, ...completion]),
    );
    const plain = logitsOf(TROUPE_MINI, 'none', texts);
    const found = divergence(plain, logitsOf(TROUPE_MINI, quantization, texts), 4096);
    t.diagnostic(`troupe-mini ${quantization}: mean KL ${found.kl.toExponential(2)}, top-1 ${(100 * found.top1).toFixed(1)} %`);
    assertWithin(found, ON_TROUPE_MINI[quantization]);
  });

  for (const name of denseOracles()) {
    test(`${quantization} stays near float32 on ${name}`, (t) => {
      const golden = readGolden(oracleDir(name), 300);
      const [logits] = logitsOf(oracleDir(name), quantization, [golden.inputIds]);
      const found = divergence([golden.logits], [logits!], golden.logits.length / golden.inputIds.length);
      t.diagnostic(`${name} ${quantization}: mean KL ${found.kl.toExponential(2)}, top-1 ${(100 * found.top1).toFixed(1)} %`);
      assertWithin(found, ON_RANDOM_WEIGHTS[quantization]);
    });
  }
}

interface GoldenCase {
  readonly prompt_token_ids: readonly number[];
  readonly completion_token_ids: readonly number[];
}

/** Logits of every position of every text. */
function logitsOf(modelDir: string, quantization: 'none' | 'wint8' | 'wint4', texts: readonly Int32Array[]): Float32Array[] {
  const { runner } = createTestRunner({ modelDir, quantization, cacheDir, layout: { maxNumSeqs: 1, maxModelLen: 1024, blockSize: 16 } });
  const driver = new RunnerDriver(runner);
  const all = texts.map((ids) => {
    const { logits } = driver.prefill(0, ids);
    driver.release(0);
    return logits;
  });
  runner.close();
  return all;
}

function divergence(plain: readonly Float32Array[], quantized: readonly Float32Array[], vocabSize: number): Bound {
  let kl = 0;
  let same = 0;
  let numRows = 0;
  for (const [i, logits] of plain.entries()) {
    for (let start = 0; start < logits.length; start += vocabSize, numRows++) {
      const p = logSoftmax(logits.subarray(start, start + vocabSize));
      const q = logSoftmax(quantized[i]!.subarray(start, start + vocabSize));
      kl += p.reduce((sum, logP, id) => sum + Math.exp(logP) * (logP - q[id]!), 0);
      if (indexOfMax(p) === indexOfMax(q)) same++;
    }
  }
  return { kl: kl / numRows, top1: same / numRows };
}

function assertWithin(found: Bound, bound: Bound): void {
  assert(found.kl <= bound.kl, `mean KL ${found.kl}, at most ${bound.kl} expected`);
  assert(found.top1 >= bound.top1, `top-1 agreement ${found.top1}, at least ${bound.top1} expected`);
}

function logSoftmax(logits: Float32Array): Float64Array {
  const highest = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const logSum = Math.log(logits.reduce((sum, value) => sum + Math.exp(value - highest), 0)) + highest;
  return Float64Array.from(logits, (value) => value - logSum);
}

function indexOfMax(values: Float64Array): number {
  return values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);
}
