import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { CASES, runRound } from '../../bench/compare-round.ts';
import { compareCase } from '../../bench/comparison.ts';
import { shapeNamed } from '../../bench/shapes.ts';
import { ensureCheckpoint } from '../../bench/write-checkpoint.ts';

const results = (variant: string, ...tokensPerSecond: number[]) =>
  tokensPerSecond.map((value) => ({ case: 'decode-1', variant, tokensPerSecond: value }) as const);

test("the ratio is one of medians, and the rival's best variant counts", () => {
  const row = compareCase('decode-1', 'wint4', {
    troupe: results('engine', 60, 90, 66),
    'node-llama-cpp': [...results('plain', 44, 45, 90), ...results('flash', 55, 10, 57)],
    'node-llama-cpp, tuned': results('plain', 1000),
  });
  assert.deepEqual(row, { case: 'decode-1', quantization: 'wint4', troupe: 66, rival: 55, ratio: 1.2 });
});

test('other cases do not count', () => {
  const other = [{ case: 'decode-8', variant: 'engine', tokensPerSecond: 1000 }] as const;
  const measured = {
    troupe: [...results('engine', 50), ...other],
    'node-llama-cpp': results('plain', 40),
    'node-llama-cpp, tuned': results('plain', 25),
  };
  const row = compareCase('decode-1', 'wint8', measured);
  assert.equal(row.troupe, 50);
  assert.equal(compareCase('decode-1', 'wint8', measured, 'node-llama-cpp, tuned').ratio, 2);
});

test("troupe's side of a round measures the three cases with the real engine", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bench-round-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const measured = await runRound('troupe', {
    model: ensureCheckpoint(shapeNamed('tiny-ernie'), folder),
    quantization: 'wint4',
    threads: 1,
    contextLength: 64,
    decodeSteps: 4,
    prefillRepeats: 1,
  });
  assert.deepEqual(
    measured.map((result) => result.case),
    [...CASES],
  );
  for (const { tokensPerSecond } of measured) assert.ok(Number.isFinite(tokensPerSecond) && tokensPerSecond > 0);
});

test('a round that fails says which', async () => {
  const request = {
    model: '/does/not/exist',
    quantization: 'wint4',
    threads: 1,
    contextLength: 64,
    decodeSteps: 4,
    prefillRepeats: 1,
  } as const;
  await assert.rejects(runRound('troupe', request), /ended with 1: .*compare-troupe/);
});
