/**
 * The whole engine over the real runner against transformers: greedy text, and every logit and hidden state that it was chosen from, do
 * not depend on company, chunks, cache or memory. Plain greedy requests, as users send them; what the model computed for them is
 * watched on the runner.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { Engine, type EngineOptions } from '../../src/engine/engine.ts';
import { makeRequest, run } from '../support/engine-factory.ts';
import { denseOracles, GOLDEN_LENGTHS, type Golden, oracleDir, readGolden } from '../support/oracles.ts';
import { createTestRunner, maxAbsoluteDifference } from '../support/runner-driver.ts';
import { WatchedRunner } from '../support/watched-runner.ts';

const BLOCK_SIZE = 16;
const NUM_OUTPUT_TOKENS = 48;
const TOLERANCE = 2e-4;

for (const name of denseOracles()) {
  describe(name, () => {
    const dir = oracleDir(name);
    const { runner: model, numBlocks, fingerprint } = createTestRunner({ modelDir: dir });
    const runner = new WatchedRunner(model, BLOCK_SIZE);
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
      runner.computed.clear();
      const texts = run(engine, requests);
      for (const [i, golden] of goldens.entries()) {
        const { ids } = texts.of(requests[i]!);
        assert.deepEqual(ids, Array.from(golden.greedyIds), `${GOLDEN_LENGTHS[i]} tokens`);
        assertComputed(golden);
      }
    };

    /** Every position that was computed, and that all were whose logits chose a token. */
    const assertComputed = ({ inputIds, logits, lastHidden, greedyIds, greedyLogits }: Golden): void => {
      const ids = [...inputIds, ...greedyIds];
      const numPrompt = inputIds.length;
      const { vocabSize } = runner;
      for (let length = 1; length < ids.length; length++) {
        const positions = runner.computed.get(ids.slice(0, length).join()) ?? [];
        const isChosenFrom = length >= numPrompt;
        assert.ok(positions.length > 0 || !isChosenFrom, `nothing was computed for ${length} tokens`);
        for (const { logits: found, hidden } of positions) {
          const expected = isChosenFrom ? rowOf(greedyLogits, length - numPrompt, vocabSize) : rowOf(logits, length - 1, vocabSize);
          assertClose(found, expected, `logits of ${length} tokens, ${numPrompt} of them the prompt`);
          if (length <= numPrompt) assertClose(hidden, rowOf(lastHidden, length - 1, hidden.length), `hidden state of ${length} tokens`);
        }
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

function assertClose(actual: Float32Array, expected: Float32Array, what: string): void {
  const difference = maxAbsoluteDifference(actual, expected);
  assert.ok(difference <= TOLERANCE, `${what}: off by ${difference}`);
}

function rowOf(matrix: Float32Array, row: number, width: number): Float32Array {
  return matrix.subarray(row * width, (row + 1) * width);
}
