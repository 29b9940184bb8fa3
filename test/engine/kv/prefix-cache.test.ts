import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KvOp } from '../../../src/engine/step.ts';
import { choices, makeEngine, makeRequest, run, runToEnd, Texts } from '../../support/engine-factory.ts';

const ids = (length: number, offset = 0): number[] => Array.from({ length }, (_, i) => (i * 7 + offset) % 32);
const copiesOf = (ops: readonly KvOp[]): string[] =>
  ops.flatMap((op) => (op.type === 'copyBlocks' ? op.copies : [])).map(({ from, to }) => `${place(from)} → ${place(to)}`);
const place = (at: { readonly type: string; readonly slot?: number; readonly blockIndex?: number; readonly blockId?: number }): string =>
  at.type === 'row' ? `row ${at.slot} block ${at.blockIndex}` : `pool ${at.blockId}`;

test('a prefix survives the end of its request: full blocks go to the pool and come back into a row', () => {
  const { engine, runner } = makeEngine();
  const first = makeRequest({ promptIds: ids(10), params: { maxTokens: 1 } });
  assert.equal(run(engine, [first]).of(first).outputs[0]!.cachedTokens, 0);
  assert.deepEqual(copiesOf(runner.steps.at(-1)!.kvOps), ['row 0 block 1 → pool 0', 'row 0 block 0 → pool 1']);
  assert.deepEqual(runner.steps.at(-1)!.kvOps.at(-1), { type: 'release', slot: 0 });
  const second = makeRequest({ promptIds: ids(10), params: { maxTokens: 1 } });
  assert.equal(run(engine, [second]).of(second).outputs[0]!.cachedTokens, 8);
  const step = runner.steps.at(-2)!;
  assert.deepEqual(copiesOf(step.kvOps), ['pool 1 → row 0 block 0', 'pool 0 → row 0 block 1']);
  assert.equal(step.sequences[0]!.numComputed, 8);
  assert.deepEqual([...step.tokenIds], ids(10).slice(8));
});

test('a hit never covers the whole prompt: the last token is computed', () => {
  const { engine } = makeEngine();
  const requests = [8, 9, 12, 13].map((length) => makeRequest({ promptIds: ids(length), params: { maxTokens: 1 } }));
  run(engine, [makeRequest({ promptIds: ids(20), params: { maxTokens: 1 } })]);
  const texts = run(engine, requests);
  assert.deepEqual(
    requests.map((request) => texts.of(request).outputs[0]!.cachedTokens),
    [4, 8, 8, 12],
  );
});

test('a live row is a source as soon as its blocks are computed', () => {
  const { engine, runner } = makeEngine();
  const texts = new Texts();
  engine.addRequest(makeRequest({ promptIds: ids(10), params: { maxTokens: 50 } }));
  texts.take(engine.step());
  engine.addRequest(makeRequest({ promptIds: ids(10), params: { maxTokens: 1 } }));
  texts.take(engine.step());
  assert.deepEqual(copiesOf(runner.steps.at(-1)!.kvOps), ['row 0 block 0 → row 1 block 0', 'row 0 block 1 → row 1 block 1']);
  runToEnd(engine, texts);
});

test('a block that another row still holds does not go to the pool; the last holder brings it there', () => {
  const { engine, runner } = makeEngine();
  const long = makeRequest({ promptIds: ids(9), params: { maxTokens: 6 } });
  const short = makeRequest({ promptIds: ids(9), params: { maxTokens: 2 } });
  const texts = new Texts();
  engine.addRequest(long);
  texts.take(engine.step());
  engine.addRequest(short);
  for (let i = 0; i < 3; i++) texts.take(engine.step());
  assert.deepEqual(copiesOf(runner.steps.at(-1)!.kvOps), [], 'the short one left nothing behind');
  assert.equal(engine.stats().numCachedBlocks, 0);
  runToEnd(engine, texts);
  assert.equal(engine.stats().numCachedBlocks, 3);
});

test('choices of one request wait for the first one to prefill their prompt and take its blocks', () => {
  const { engine, runner } = makeEngine({ maxNumBatchedTokens: 8 });
  const request = makeRequest({ promptIds: ids(20), choices: choices(3), params: { maxTokens: 2 } });
  const texts = run(engine, [request]);
  const prefillTokens = runner.steps.slice(0, 3).map((step) => step.tokenIds.length);
  assert.deepEqual(prefillTokens, [8, 8, 4], 'the first choice alone');
  assert.equal(runner.steps[3]!.sequences.length, 2 + 1, 'then the others, beside its decode');
  assert.deepEqual(
    [0, 1, 2].map((choice) => texts.of(request, choice).outputs[0]!.cachedTokens),
    [0, 16, 16],
  );
  assert.equal(engine.stats().promptTokens, 20, 'the prompt counts once');
});

test('choices whose first one is aborted before it prefilled go on by themselves', () => {
  const { engine } = makeEngine({ maxNumBatchedTokens: 8 });
  const request = makeRequest({ promptIds: ids(20), choices: choices(2), params: { maxTokens: 2 } });
  engine.addRequest(request);
  const texts = new Texts();
  texts.take(engine.step());
  engine.abort(request.key, 0);
  runToEnd(engine, texts);
  assert.equal(texts.of(request, 0).finish, 'abort');
  assert.equal(texts.of(request, 1).ids.length, 2);
  assert.equal(texts.of(request, 1).outputs[0]!.cachedTokens, 8, 'what the first had computed is not lost');
});

test('only equal salts share blocks', () => {
  const { engine } = makeEngine();
  const cachedTokens = ['', 'a', 'a', 'b', ''].map((cacheSalt) => {
    const request = makeRequest({ promptIds: ids(9), cacheSalt, params: { maxTokens: 1 } });
    return run(engine, [request]).of(request).outputs[0]!.cachedTokens;
  });
  assert.deepEqual(cachedTokens, [0, 0, 8, 0, 8]);
});

test('the prefix that was not used for the longest time is evicted first, its deepest block before the others', () => {
  const { engine } = makeEngine({ numBlocks: 8 });
  const cachedTokens = (offset: number): number => {
    const request = makeRequest({ promptIds: ids(13, offset), params: { maxTokens: 1 } });
    return run(engine, [request]).of(request).outputs[0]!.cachedTokens!;
  };
  assert.deepEqual([cachedTokens(0), cachedTokens(1)], [0, 0]);
  assert.equal(engine.stats().numCachedBlocks, 6);
  assert.equal(cachedTokens(0), 12, 'both fit; the first is now the younger');
  assert.equal(cachedTokens(2), 0, 'four blocks for a row: two of the oldest must go');
  assert.equal(cachedTokens(0), 12, 'the younger one is whole');
  assert.equal(cachedTokens(1), 0, 'its first block made room by then');
});

test('a partly evicted prefix still gives its first blocks', () => {
  const { engine } = makeEngine({ numBlocks: 8 });
  run(engine, [makeRequest({ promptIds: ids(21), params: { maxTokens: 1 } })]);
  assert.equal(engine.stats().numCachedBlocks, 5);
  run(engine, [makeRequest({ promptIds: ids(17, 1), params: { maxTokens: 1 } })]);
  const again = makeRequest({ promptIds: ids(21), params: { maxTokens: 1 } });
  assert.equal(run(engine, [again]).of(again).outputs[0]!.cachedTokens, 12, 'five blocks for the other row cost it its two deepest');
});

test('a hit whose blocks must be evicted to make room for their copy is still a hit', () => {
  const { engine, runner } = makeEngine({ numBlocks: 4 });
  const prompt = ids(15);
  run(engine, [makeRequest({ promptIds: prompt, params: { maxTokens: 1 } })]);
  assert.equal(engine.stats().numCachedBlocks, 3);
  const again = makeRequest({ promptIds: prompt, params: { maxTokens: 1 } });
  assert.equal(run(engine, [again]).of(again).outputs[0]!.cachedTokens, 12);
  const types = runner.steps.at(-2)!.kvOps.map((op) => op.type);
  assert.deepEqual(types, ['copyBlocks', 'releaseBlocks'], 'copied before they were dropped');
});

test('without the prefix cache nothing is copied and nothing stays', () => {
  const { engine, runner } = makeEngine({ enablePrefixCaching: false });
  const requests = [1, 2].map(() => makeRequest({ promptIds: ids(20), choices: choices(2) }));
  run(engine, requests);
  assert.equal(engine.stats().numCachedBlocks, 0);
  assert.ok(!runner.steps.some((step) => step.kvOps.some((op) => op.type === 'copyBlocks')));
});
