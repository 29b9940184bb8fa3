/** The whole engine over the real runner against transformers: greedy text does not depend on company, chunks, cache or memory. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { Engine, type EngineOptions } from '../../src/engine/engine.ts';
import { makeRequest, run } from '../support/engine-factory.ts';
import { denseOracles, GOLDEN_LENGTHS, oracleDir, readGolden } from '../support/oracles.ts';
import { createTestRunner } from '../support/runner-driver.ts';

const BLOCK_SIZE = 16;
const NUM_OUTPUT_TOKENS = 48;

for (const name of denseOracles()) {
  describe(name, () => {
    const dir = oracleDir(name);
    const { runner, numBlocks, fingerprint } = createTestRunner({ modelDir: dir });
    after(() => runner.close());
    const goldens = GOLDEN_LENGTHS.map((length) => readGolden(dir, length));
    const requests = goldens.map(({ inputIds }) =>
      makeRequest({ promptIds: Array.from(inputIds), params: { maxTokens: NUM_OUTPUT_TOKENS } }),
    );

    const makeOracleEngine = (knobs: Partial<EngineOptions> = {}): Engine =>
      new Engine({
        runner,
        groupEpoch: [1, 1],
        maxNumSeqs: 8,
        maxNumBatchedTokens: 1024,
        maxModelLen: 512,
        blockSize: BLOCK_SIZE,
        numBlocks,
        enablePrefixCaching: true,
        enableChunkedPrefill: true,
        maxNumWaiting: 8,
        fingerprint,
        clock: { monotonic: () => 0 },
        ...knobs,
      });

    const assertGolden = (engine: Engine): void => {
      const texts = run(engine, requests);
      for (const [i, { greedyIds }] of goldens.entries()) {
        assert.deepEqual(texts.of(requests[i]!).ids, Array.from(greedyIds), `${GOLDEN_LENGTHS[i]} tokens`);
      }
    };

    test('eight requests together, then again from the prefix cache', () => {
      const engine = makeOracleEngine();
      assertGolden(engine);
      assert.equal(engine.stats().prefixCacheHitTokens, 0);
      assertGolden(engine);
      const numHitTokens = GOLDEN_LENGTHS.reduce((sum, length) => sum + Math.floor((length - 1) / BLOCK_SIZE) * BLOCK_SIZE, 0);
      assert.equal(engine.stats().prefixCacheHitTokens, numHitTokens);
    });

    test('prefilled in chunks of 16 and less, beside the decode of the others', () => {
      assertGolden(makeOracleEngine({ maxNumBatchedTokens: 16 }));
    });

    for (const enablePrefixCaching of [true, false]) {
      test(`after preemptions, ${enablePrefixCaching ? 'with' : 'without'} the prefix cache`, () => {
        const engine = makeOracleEngine({ numBlocks: 28, enablePrefixCaching });
        assertGolden(engine);
        assert.ok(engine.stats().numPreemptions > 0, 'nothing was preempted');
      });
    }
  });
}
