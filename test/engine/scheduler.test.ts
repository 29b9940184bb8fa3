import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StepInput } from '../../src/engine/step.ts';
import { choices, makeEngine, makeRequest, run, runToEnd, Texts } from '../support/engine-factory.ts';

const ids = (length: number, offset = 0): number[] => Array.from({ length }, (_, i) => (i * 7 + offset) % 32);
/** `row:tokens@computed` for each sequence of a step. */
const shapes = (steps: readonly StepInput[]): string[] =>
  steps.map((step) => step.sequences.map((part) => `${part.slot}:${part.numTokens}@${part.numComputed}`).join(' '));

test('decode goes first and prefill chunks fill what is left of the budget', () => {
  const { engine, runner } = makeEngine({ maxNumBatchedTokens: 6, enablePrefixCaching: false });
  const texts = new Texts();
  engine.addRequest(makeRequest({ promptIds: ids(3), params: { maxTokens: 4 } }));
  texts.take(engine.step());
  engine.addRequest(makeRequest({ promptIds: ids(12, 1), params: { maxTokens: 2 } }));
  engine.addRequest(makeRequest({ promptIds: ids(4, 2), params: { maxTokens: 1 } }));
  runToEnd(engine, texts);
  assert.deepEqual(shapes(runner.steps).slice(0, 5), ['0:3@0', '0:1@3 1:5@0', '0:1@4 1:5@5', '0:1@5 1:2@10 2:3@0', '1:1@12 0:1@3']);
});

test('logits are asked for only where the known tokens end', () => {
  const { engine, runner } = makeEngine({ maxNumBatchedTokens: 4 });
  run(engine, [makeRequest({ promptIds: ids(10), params: { maxTokens: 1 } })]);
  assert.deepEqual(
    runner.steps.slice(0, 3).map(({ sequences }) => [sequences[0]!.needs, sequences[0]!.numLogits]),
    [
      ['none', 0],
      ['none', 0],
      ['argmax', 1],
    ],
  );
});

test('a budget smaller than the number of decodes leaves none out, and prefill still gets one token', () => {
  const { engine, runner } = makeEngine({ maxNumBatchedTokens: 2, enablePrefixCaching: false });
  const texts = new Texts();
  for (let i = 0; i < 3; i++) engine.addRequest(makeRequest({ promptIds: [i], params: { maxTokens: 20 } }));
  texts.take(engine.step());
  texts.take(engine.step());
  engine.addRequest(makeRequest({ promptIds: ids(3), params: { maxTokens: 1 } }));
  texts.take(engine.step());
  assert.equal(shapes(runner.steps).at(-1), '0:1@2 1:1@2 2:1@1 3:1@0');
  runToEnd(engine, texts);
});

test('without chunked prefill a prompt runs whole in one step, alone when it is longer than the budget', () => {
  const { engine, runner } = makeEngine({ enableChunkedPrefill: false, maxNumBatchedTokens: 10, enablePrefixCaching: false });
  run(
    engine,
    [6, 6, 25, 3].map((length, index) => makeRequest({ promptIds: ids(length, index), params: { maxTokens: 1 } })),
  );
  assert.deepEqual(
    runner.steps.map((step) => step.sequences.map((part) => part.numTokens)).filter((tokens) => tokens.length > 0),
    [[6], [6], [25], [3]],
  );
});

test('smaller priority goes first, then arrival; continuations go before everything', () => {
  const { engine } = makeEngine({ maxNumSeqs: 1 });
  const add = (key: string, priority: number, outputIds: number[] = []): void => {
    engine.addRequest(makeRequest({ key, priority, choices: [{ index: 0, outputIds, finished: false }], params: { maxTokens: 3 } }));
  };
  add('b', 0);
  add('c', 0);
  add('d', 5);
  add('a', -1);
  add('continued', 9, [1]);
  const finished: string[] = [];
  while (engine.hasWork) for (const output of engine.step().outputs) if (output.finish) finished.push(output.key);
  assert.deepEqual(finished, ['continued', 'a', 'b', 'c', 'd']);
});

test('when blocks are spent the newest running sequence of the lowest priority is preempted, and goes on where it was', () => {
  const { engine, runner } = makeEngine({ numBlocks: 8, maxNumSeqs: 3, enablePrefixCaching: false });
  const requests = [
    makeRequest({ key: 'old', promptIds: ids(8), params: { maxTokens: 9 } }),
    makeRequest({ key: 'urgent', promptIds: ids(4, 1), priority: -1, params: { maxTokens: 9 } }),
    makeRequest({ key: 'new', promptIds: ids(4, 2), params: { maxTokens: 9 } }),
  ];
  const order: string[] = [];
  for (const request of requests) engine.addRequest(request);
  const texts = new Texts();
  while (engine.hasWork) {
    const report = engine.step();
    texts.take(report);
    for (const output of report.outputs) if (output.finish) order.push(output.key);
  }
  assert.equal(engine.stats().numPreemptions, 1);
  assert.deepEqual(order, ['urgent', 'old', 'new']);
  const alone = run(makeEngine().engine, [requests[2]!]).of(requests[2]!);
  assert.deepEqual(texts.of(requests[2]!).ids, alone.ids);
  assert.ok(
    runner.steps.some(({ sequences }) => sequences.some((part) => part.numTokens > 4 && part.numComputed === 0)),
    'prompt and output were computed again',
  );
});

test('a preempted sequence finds its own blocks in the prefix cache', () => {
  const { engine, runner } = makeEngine({ numBlocks: 10, maxNumSeqs: 2 });
  const requests = [0, 1].map((offset) => makeRequest({ promptIds: ids(15, offset), params: { maxTokens: 12 } }));
  const texts = run(engine, requests);
  assert.equal(engine.stats().numPreemptions, 1);
  const resumed = runner.steps.find((step) => step.kvOps.some((op) => op.type === 'copyBlocks' && op.copies[0]!.from.type === 'pool'));
  assert.ok(resumed, 'blocks came back from the pool');
  assert.equal(texts.of(requests[1]!).outputs[0]!.cachedTokens, 0, 'which is not what the client calls cached');
});

test('the lowest free row is given out, and rows are moved together when a quarter of the batch is holes', () => {
  const { engine, runner } = makeEngine({ maxNumSeqs: 5, numBlocks: 128, enablePrefixCaching: false });
  const maxTokens = [2, 20, 2, 20, 20];
  const requests = maxTokens.map((tokens, index) => makeRequest({ promptIds: ids(5, index), params: { maxTokens: tokens } }));
  run(engine, requests);
  const moves = runner.steps.flatMap((step, index) =>
    step.kvOps.flatMap((op) => (op.type === 'moveRow' ? [`step ${index + 1}: ${op.from} → ${op.to}, ${op.numTokens}`] : [])),
  );
  // Rows 0 and 2 fall free in step 2. Two holes in five rows: 4 → 0. One hole (2) in four rows is a quarter: 3 → 2.
  assert.deepEqual(moves, ['step 3: 4 → 0, 6', 'step 4: 3 → 2, 7']);
});

test('rows stay where they are while less than a quarter of the batch is holes', () => {
  const { engine, runner } = makeEngine({ maxNumSeqs: 5, enablePrefixCaching: false });
  run(
    engine,
    [20, 2, 20, 20, 20].map((tokens, index) => makeRequest({ promptIds: ids(5, index), params: { maxTokens: tokens } })),
  );
  assert.ok(!runner.steps.some((step) => step.kvOps.some((op) => op.type === 'moveRow')));
});

test('a waiting sequence fills a hole before any row is moved there', () => {
  const { engine, runner } = makeEngine({ maxNumSeqs: 2, enablePrefixCaching: false });
  run(
    engine,
    [2, 20, 20].map((tokens, index) => makeRequest({ promptIds: ids(5, index), params: { maxTokens: tokens } })),
  );
  assert.ok(!runner.steps.some((step) => step.kvOps.some((op) => op.type === 'moveRow')));
});

test('more choices than rows take turns', () => {
  const { engine } = makeEngine({ maxNumSeqs: 2 });
  const request = makeRequest({ choices: choices(7), params: { temperature: 1 } });
  const texts = run(engine, [request]);
  const said = new Set(request.choices.map(({ index }) => texts.of(request, index).ids.join()));
  assert.equal(said.size, 7, 'each choice draws its own numbers');
});
