import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LoadMeter } from '../../src/engine/stats.ts';
import { choices, makeEngine, makeRequest, runToEnd, STEP_MS } from '../support/engine-factory.ts';

test('an ack tells how many requests are ahead in the queue', () => {
  const { engine } = makeEngine({ maxNumSeqs: 1 });
  const position = (priority: number): number => {
    const result = engine.addRequest(makeRequest({ priority, choices: choices(2) }));
    assert.ok(result.type === 'ack');
    return result.position;
  };
  assert.deepEqual([position(0), position(0), position(5), position(-1), position(1)], [0, 1, 2, 0, 3]);
});

test('the queue takes maxNumWaiting requests beyond those that free rows will take', () => {
  const { engine } = makeEngine({ maxNumSeqs: 2, maxNumWaiting: 3 });
  const add = (): string => engine.addRequest(makeRequest({ params: { maxTokens: 3 } })).type;
  assert.deepEqual(Array.from({ length: 6 }, add), ['ack', 'ack', 'ack', 'ack', 'ack', 'nack']);
  engine.step();
  assert.deepEqual([engine.stats().numRunning, engine.stats().numWaiting], [2, 3]);
  assert.equal(add(), 'nack');
  while (engine.stats().numWaiting === 3) engine.step();
  assert.equal(add(), 'ack');
});

test('choices of a request that has begun do not count as waiting requests', () => {
  const { engine } = makeEngine({ maxNumSeqs: 2, maxNumWaiting: 1 });
  engine.addRequest(makeRequest({ promptIds: [1], choices: choices(9) }));
  engine.step();
  assert.deepEqual([engine.addRequest(makeRequest()).type, engine.addRequest(makeRequest()).type], ['ack', 'nack']);
});

test('a continuation is never refused for load', () => {
  const { engine } = makeEngine({ maxNumSeqs: 1, maxNumWaiting: 0 });
  engine.addRequest(makeRequest());
  assert.equal(engine.addRequest(makeRequest()).type, 'nack');
  assert.equal(engine.addRequest(makeRequest({ choices: [{ index: 0, outputIds: [1], finished: false }] })).type, 'ack');
});

test('a full queue says when to come back: queued prefill at the measured rate, and the wait for a row', () => {
  const { engine } = makeEngine({ maxNumSeqs: 1, maxNumWaiting: 2, enablePrefixCaching: false });
  const prompt = (length: number): readonly number[] => new Array<number>(length).fill(1);
  // Measured: 20 tokens prefilled in a step of 10 ms, a row held for 5 steps.
  engine.addRequest(makeRequest({ promptIds: prompt(20), params: { maxTokens: 5 } }));
  runToEnd(engine);
  engine.addRequest(makeRequest({ promptIds: prompt(20), params: { maxTokens: 50 } }));
  engine.step();
  for (let i = 0; i < 2; i++) engine.addRequest(makeRequest({ promptIds: prompt(100) }));
  const refused = engine.addRequest(makeRequest());
  assert.ok(refused.type === 'nack' && refused.code === 'queue_full');
  assert.equal(refused.retryAfterMs, 200 / (20 / STEP_MS) + 5 * STEP_MS);
});

test('before anything was measured the estimate is finite, and it stays within its bounds', () => {
  const meter = new LoadMeter();
  const load = { queuedPrefillTokens: 0, numRunning: 0, hasFreeRow: true };
  assert.equal(meter.retryAfterMs(load), 50);
  assert.equal(meter.retryAfterMs({ ...load, queuedPrefillTokens: 1e12 }), 120_000);
  assert.equal(meter.retryAfterMs({ queuedPrefillTokens: 0, numRunning: 4, hasFreeRow: false }), 250);
});

test('stats count prompt and generated tokens, hits and the queue', () => {
  const { engine } = makeEngine({ maxNumSeqs: 1 });
  const promptIds = [1, 2, 3, 4, 5, 6, 7, 8, 9];
  for (let i = 0; i < 2; i++) engine.addRequest(makeRequest({ promptIds, params: { maxTokens: 3 } }));
  assert.equal(engine.stats().queuedPrefillTokens, 18);
  engine.step();
  const { numRunning, numWaiting, numUsedBlocks, numCachedBlocks, queuedPrefillTokens } = engine.stats();
  assert.deepEqual([numRunning, numWaiting, numUsedBlocks, numCachedBlocks, queuedPrefillTokens], [1, 1, 3, 0, 9]);
  while (engine.hasWork) engine.step();
  const { prefillTokensPerSecond, stepMs, ...counted } = engine.stats();
  assert.ok(prefillTokensPerSecond! > 0 && stepMs! > 0);
  assert.deepEqual(counted, {
    numRunning: 0,
    numWaiting: 0,
    numBlocks: 128,
    numUsedBlocks: 0,
    numCachedBlocks: 2,
    prefixCacheQueryTokens: 18,
    prefixCacheHitTokens: 8,
    numPreemptions: 0,
    promptTokens: 18,
    generationTokens: 6,
    numSteps: 7,
    queuedPrefillTokens: 0,
  });
});
