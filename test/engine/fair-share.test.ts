/** A request with many endless choices keeps nobody waiting. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { choices, makeEngine, makeRequest, Texts } from '../support/engine-factory.ts';

const endless = (num: number) => makeRequest({ key: 'endless', choices: choices(num), params: { maxTokens: 200, temperature: 1 } });
const small = (key: string, priority = 0) => makeRequest({ key, priority, promptIds: [9, 8, 7], params: { maxTokens: 8 } });

/** Steps until the request is over. */
function stepsUntilDone(engine: ReturnType<typeof makeEngine>['engine'], texts: Texts, name: string): number {
  for (let i = 1; i <= 5000; i++) {
    texts.take(engine.step());
    engine.assertIntegrity();
    if (texts.byName.get(name)?.finish) return i;
  }
  throw new Error(`${name} did not end`);
}

test('160 endless choices keep a small request waiting for one turn of 32 tokens at most', () => {
  const { engine } = makeEngine({ numBlocks: 512 });
  const texts = new Texts();
  engine.addRequest(endless(160));
  for (let i = 0; i < 5; i++) texts.take(engine.step());
  for (let i = 0; i < 6; i++) {
    engine.addRequest(small(`small-${i}`));
    const numSteps = stepsUntilDone(engine, texts, `small-${i}/0`);
    assert.ok(numSteps <= 32 + 8 + 3, `${numSteps} steps`);
  }
});

test('choices that gave up their rows end with the text that they would have had', () => {
  const alone = makeEngine({ numBlocks: 512 });
  const expected = new Texts();
  alone.engine.addRequest(endless(8));
  while (alone.engine.hasWork) expected.take(alone.engine.step());

  const { engine } = makeEngine({ numBlocks: 512 });
  const texts = new Texts();
  engine.addRequest(endless(8));
  for (let i = 0; engine.hasWork; i++) {
    if (i % 50 === 10 && i < 400) engine.addRequest(small(`small-${i}`));
    texts.take(engine.step());
    engine.assertIntegrity();
  }
  assert.ok(engine.stats().numPreemptions > 2);
  for (let i = 0; i < 8; i++) assert.deepEqual(texts.byName.get(`endless/${i}`)!.ids, expected.byName.get(`endless/${i}`)!.ids);
});

test('two requests with many choices get as many rows each, and a less urgent one takes none from them', () => {
  const { engine, runner } = makeEngine({ numBlocks: 512 });
  engine.addRequest(endless(20));
  const texts = new Texts();
  for (let i = 0; i < 5; i++) texts.take(engine.step());
  engine.addRequest(small('later', 5));
  engine.addRequest(makeRequest({ key: 'other', choices: choices(20), params: { maxTokens: 200 }, promptIds: [4, 4, 4, 4, 4, 4] }));
  for (let i = 0; i < 150; i++) texts.take(engine.step());
  const others = [...texts.byName.keys()].filter((name) => name.startsWith('other/')).length;
  assert.equal(others, 2, 'two of four rows');
  assert.equal(texts.byName.get('later/0'), undefined);
  assert.ok(runner.steps.length > 150);
});
