import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeEngine, makeRequest, run } from '../support/engine-factory.ts';

test('a greedy request gives maxTokens tokens, one a step, and finishes with length', () => {
  const { engine, runner } = makeEngine();
  const request = makeRequest();
  const text = run(engine, [request]).of(request);
  assert.equal(text.ids.length, 8);
  assert.equal(text.finish, 'length');
  console.log(runner.steps.map((s) => JSON.stringify([s.kvOps, [...s.tokenIds], s.sequences])).join('\n'));
});
