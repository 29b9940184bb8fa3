/** What the engine does to the KV cache between runs must leave the results as they are. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { blockId, slot } from '../../../src/core/ids.ts';
import { OrtModelRunner } from '../../../src/engine/runner/ort-model-runner.ts';
import type { BlockLocation } from '../../../src/engine/step.ts';
import { oracleDir, readGolden } from '../../support/oracles.ts';
import { createTestRunner, RunnerDriver } from '../../support/runner-driver.ts';

const BLOCK = 16;
const row = (number: number, blockIndex: number): BlockLocation => ({ type: 'row', slot: slot(number), blockIndex });
const pool = (id: number): BlockLocation => ({ type: 'pool', blockId: blockId(id) });

describe('the KV cache of the real runner', () => {
  const modelDir = oracleDir('ernie4_5');
  const golden = readGolden(modelDir, 130);
  const expected = Array.from(golden.greedyIds);
  const { runner, numBlocks } = createTestRunner({ modelDir, kvCacheMemoryBytes: 4 * 2 ** 20 });
  const driver = () => new RunnerDriver(runner);
  const releaseAll = (rows: RunnerDriver) => {
    for (let i = 0; i < 32; i++) rows.release(i);
  };
  after(() => runner.close());

  test('blocks copied to the pool and into another row continue the text', () => {
    const rows = driver();
    rows.greedy(3, golden.inputIds, 1);
    const blocks = Array.from({ length: 8 }, (_, i) => i);
    const toPool = blocks.map((i) => ({ from: row(3, i), to: pool(numBlocks - 1 - i) }));
    const toRow = blocks.map((i) => ({ from: pool(numBlocks - 1 - i), to: row(5, i) }));
    rows.step([], {
      kvOps: [
        { type: 'copyBlocks', copies: toPool },
        { type: 'release', slot: slot(3) },
        { type: 'copyBlocks', copies: toRow },
      ],
    });
    rows.setComputed(5, 8 * BLOCK);
    assert.deepEqual(rows.greedy(5, golden.inputIds.subarray(8 * BLOCK), 48), expected);
    releaseAll(rows);
  });

  test('blocks copied from a living row leave it as it was', () => {
    const rows = driver();
    rows.greedy(0, golden.inputIds, 1);
    rows.step([], { kvOps: [{ type: 'copyBlocks', copies: [0, 1, 2].map((i) => ({ from: row(0, i), to: row(1, i) })) }] });
    rows.setComputed(1, 3 * BLOCK);
    assert.deepEqual(rows.greedy(1, golden.inputIds.subarray(3 * BLOCK), 48), expected);
    assert.deepEqual(rows.greedy(0, [expected[0]!], 47), expected.slice(1));
    releaseAll(rows);
  });

  test('a moved row goes on from where it was', () => {
    const rows = driver();
    const first = rows.greedy(9, golden.inputIds, 10);
    rows.step([], { kvOps: [{ type: 'moveRow', from: slot(9), to: slot(2), numTokens: 139 }] });
    rows.setComputed(2, 139);
    assert.deepEqual([...first, ...rows.greedy(2, [first.at(-1)!], 38)], expected);
    releaseAll(rows);
  });

  test('a row that is still prefilling is not harmed by decodes around it', () => {
    const rows = driver();
    rows.greedy(0, golden.inputIds, 1);
    rows.greedy(2, golden.inputIds, 1);
    const texts: number[][] = [[expected[0]!], [], [expected[0]!]];
    const prompt = golden.inputIds;
    for (let step = 0; step < 47; step++) {
      const chunk = prompt.subarray(step * 8, (step + 1) * 8);
      const decodes = [0, 2].map((i) => ({ slot: i, tokenIds: [texts[i]!.at(-1)!], needs: 'argmax' as const, numLogits: 1 }));
      const isLast = (step + 1) * 8 >= prompt.length;
      // The chunk goes first in one step and last in the next; after the prompt, row 1 only waits.
      const prefill = { slot: 1, tokenIds: chunk, needs: isLast ? ('argmax' as const) : ('none' as const), numLogits: isLast ? 1 : 0 };
      const work = chunk.length === 0 ? decodes : step % 2 ? [prefill, ...decodes] : [...decodes, prefill];
      for (const [i, result] of rows.step(work).entries()) if (result.type === 'argmax') texts[work[i]!.slot]!.push(result.tokenIds[0]!);
    }
    assert.deepEqual(texts[0], expected);
    assert.deepEqual(texts[2], expected);
    assert.deepEqual([...texts[1]!, ...rows.greedy(1, texts[1]!, 47)], expected);
    releaseAll(rows);
  });

  test('a step without sequences applies its operations', () => {
    assert.deepEqual(driver().step([], { kvOps: [{ type: 'releaseBlocks', blockIds: [0, 1] }] }), []);
  });

  test('token ids outside the vocabulary and drafts are refused before anything runs', () => {
    const submit = (id: number, draftTokens: readonly number[]) =>
      runner.submit({
        groupEpoch: [1, 1],
        stepId: 1,
        kvOps: [],
        tokenIds: Int32Array.of(id),
        sequences: [{ slot: slot(0), start: 0, numTokens: 1, numComputed: 0, draftTokens, needs: 'argmax', numLogits: 1 }],
      });
    assert.throws(() => submit(-1, []), /step 1 has token id -1/);
    assert.throws(() => submit(runner.vocabSize, []), /has token id/);
    assert.throws(() => submit(1, [2]), /step 1 speculates in row 0/);
    assert.equal(runner.collect(submit(1, [])).stepId, 1);
    releaseAll(driver());
  });

  test('dead rows and blocks give their memory back when the budget is exceeded', () => {
    assert(runner instanceof OrtModelRunner);
    const rows = driver();
    for (let i = 0; i < 32; i++) {
      rows.greedy(i, golden.inputIds, 1);
      rows.release(i);
    }
    assert(runner.residentKvBytes <= 4 * 2 ** 20, `${runner.residentKvBytes} bytes are resident`);
    assert.deepEqual(rows.greedy(31, golden.inputIds, 48), expected, 'a row that gave its memory back works again');
    releaseAll(rows);
  });

  test('topK gives the best tokens, best first', () => {
    const rows = driver();
    const [full] = rows.step([{ slot: 0, tokenIds: golden.inputIds, needs: 'full', numLogits: 1 }]);
    rows.release(0);
    const [top] = rows.step([{ slot: 0, tokenIds: golden.inputIds, needs: 'topK', numLogits: 1 }]);
    assert(full?.type === 'full' && top?.type === 'topK');
    const sorted = Array.from(full.logits.keys()).sort((a, b) => full.logits[b]! - full.logits[a]!);
    assert.deepEqual(Array.from(top.tokenIds), sorted.slice(0, top.tokenIds.length));
    assert.deepEqual(
      Array.from(top.logits),
      Array.from(top.tokenIds, (id) => full.logits[id]!),
    );
    releaseAll(rows);
  });
});
