import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeEngine, makeRequest, run } from '../support/engine-factory.ts';

const prompt = (length: number): number[] => Array.from({ length }, (_, i) => 1 + (i % 30));

test('a pooling request generates nothing and ends with the hidden state of its last token', () => {
  const { engine, runner } = makeEngine();
  const request = makeRequest({ promptIds: prompt(9), params: { pooling: true } });
  const { ids, outputs, finish } = run(engine, [request]).of(request);
  assert.deepEqual([ids, finish, outputs.length], [[], 'stop', 1]);
  assert.deepEqual(outputs[0]!.hidden, runner.hiddenOf(prompt(9)));
  assert.equal(engine.stats().generationTokens, 0);
  assert.equal(engine.stats().promptTokens, 9);
});

test('hidden states are asked for only in the step that needs them', () => {
  const { engine, runner } = makeEngine({ maxNumBatchedTokens: 8 });
  const pooled = makeRequest({ promptIds: prompt(20), params: { pooling: true } });
  const other = makeRequest({ promptIds: [31, 31], params: { maxTokens: 12 } });
  run(engine, [pooled, other]);
  const asking = runner.steps.filter((step) => step.wantsHidden);
  assert.equal(asking.length, 1);
});

test('an input may fill the model, and one token more is refused with the numbers', () => {
  const { engine } = makeEngine({ maxModelLen: 20 });
  const full = makeRequest({ promptIds: prompt(20), params: { pooling: true } });
  assert.equal(run(engine, [full]).of(full).finish, 'stop');
  const refused = engine.addRequest(makeRequest({ promptIds: prompt(21), params: { pooling: true } }));
  assert.ok(refused.type === 'nack' && refused.code === 'too_long');
  assert.match(refused.message, /The prompt has 21 tokens; at most 20 /);
  const small = makeEngine({ numBlocks: 3 }).engine;
  const fits = makeRequest({ promptIds: prompt(12), params: { pooling: true } });
  assert.equal(run(small, [fits]).of(fits).finish, 'stop', 'the whole KV cache');
});

test('a repeated input comes from the prefix cache, with the same state', () => {
  const { engine, runner } = makeEngine();
  const request = () => makeRequest({ promptIds: prompt(17), params: { pooling: true } });
  const [first, second] = [request(), request()];
  run(engine, [first]);
  const { outputs } = run(engine, [second]).of(second);
  assert.deepEqual([outputs[0]!.hidden, outputs[0]!.cachedTokens], [runner.hiddenOf(prompt(17)), 16]);
});

test('a frozen engine computes nothing, takes adds and aborts, and goes on where it stood', () => {
  const { engine } = makeEngine({ script: { nextToken: (tokens) => tokens.length } });
  const request = makeRequest({ params: { maxTokens: 6 } });
  const late = makeRequest({ params: { maxTokens: 2 } });
  const dropped = makeRequest();
  engine.addRequest(request);
  engine.addRequest(dropped);
  engine.step();
  engine.step();
  engine.setFrozen(true);
  assert.equal(engine.hasWork, false);
  assert.equal(engine.addRequest(late).type, 'ack');
  engine.abort(dropped.key);
  const { numSteps } = engine.stats();
  const { outputs } = engine.step();
  assert.deepEqual(
    outputs.map(({ key, ids, finish }) => ({ key, ids, finish })),
    [{ key: dropped.key, ids: [], finish: 'abort' }],
  );
  assert.equal(engine.stats().numRunning, 1);
  assert.ok(engine.stats().numSteps <= numSteps + 1, 'at most the step that gives the row back');
  engine.setFrozen(false);
  const ids: number[] = [];
  while (engine.hasWork) for (const output of engine.step().outputs) if (output.key === request.key) ids.push(...output.ids);
  assert.deepEqual(ids, [7, 8, 9, 10]);
});
