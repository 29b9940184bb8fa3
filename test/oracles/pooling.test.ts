/** What pooling requests end with, against transformers: the last hidden state of every prompt, whatever the company, chunks and cache. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { Engine, type EngineOptions } from '../../src/engine/engine.ts';
import { makeRequest, run } from '../support/engine-factory.ts';
import { denseOracles, GOLDEN_LENGTHS, oracleDir, readGolden } from '../support/oracles.ts';
import { createTestRunner, maxAbsoluteDifference } from '../support/runner-driver.ts';

const TOLERANCE = 2e-4;

for (const name of denseOracles()) {
  describe(name, () => {
    const dir = oracleDir(name);
    const { runner, numBlocks, fingerprint } = createTestRunner({ modelDir: dir });
    after(() => runner.close());
    const goldens = GOLDEN_LENGTHS.map((length) => readGolden(dir, length));

    const makeOracleEngine = (knobs: Partial<EngineOptions> = {}): Engine =>
      new Engine({
        runner,
        groupEpoch: [1, 1],
        maxNumSeqs: 16,
        maxNumBatchedTokens: 1024,
        maxModelLen: 512,
        blockSize: 16,
        numBlocks,
        enablePrefixCaching: true,
        enableChunkedPrefill: true,
        maxNumWaiting: 16,
        fingerprint,
        clock: { monotonic: () => 0 },
        ...knobs,
      });

    /** Pooling requests beside generations of the same prompts. */
    const assertGolden = (engine: Engine): void => {
      const pooled = goldens.map(({ inputIds }) => makeRequest({ promptIds: Array.from(inputIds), params: { pooling: true } }));
      const generated = goldens.map(({ inputIds }) => makeRequest({ promptIds: Array.from(inputIds), params: { maxTokens: 48 } }));
      const texts = run(engine, [...generated, ...pooled]);
      for (const [i, { inputIds, lastHidden, greedyIds }] of goldens.entries()) {
        const { outputs, ids, finish } = texts.of(pooled[i]!);
        assert.deepEqual([outputs.length, ids, finish], [1, [], 'stop']);
        const hidden = outputs[0]!.hidden!;
        const difference = maxAbsoluteDifference(hidden, lastHidden.subarray((inputIds.length - 1) * hidden.length));
        assert.ok(difference <= TOLERANCE, `${inputIds.length} tokens: off by ${difference}`);
        assert.deepEqual(texts.of(generated[i]!).ids, Array.from(greedyIds), 'its neighbour is not disturbed');
      }
    };

    test('together, then again from the prefix cache', () => {
      const engine = makeOracleEngine();
      assertGolden(engine);
      assertGolden(engine);
      assert.ok(engine.stats().prefixCacheHitTokens > 0);
    });

    test('in chunks of 16 and less', () => assertGolden(makeOracleEngine({ maxNumBatchedTokens: 16 })));

    test('after preemptions', () => {
      const engine = makeOracleEngine({ numBlocks: 28, maxNumBatchedTokens: 64 });
      assertGolden(engine);
      assert.ok(engine.stats().numPreemptions > 0, 'nothing was preempted');
    });
  });
}
