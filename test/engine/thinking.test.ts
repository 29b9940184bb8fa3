/** Limits on thinking, in the engine: ids that are forced, counted and replayed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ThinkingLimits } from '../../src/core/sampling-params.ts';
import { Thinking } from '../../src/engine/thinking.ts';
import { choices, makeEngine, makeRequest, run } from '../support/engine-factory.ts';

const limits = (overrides: Partial<ThinkingLimits> = {}): ThinkingLimits => ({
  isOpen: true,
  startIds: [20],
  endIds: [30],
  maxTokens: 4,
  forcedIds: [10, 30, 11],
  maxAnswerTokens: null,
  ...overrides,
});

/** What an output comes to whose free tokens are these, until they are used up or the answer is complete. */
function spoken(thinking: ThinkingLimits, free: readonly number[]): number[] {
  const state = new Thinking(thinking);
  const output: number[] = [];
  const rest = [...free];
  while (!state.isAnswerComplete) {
    const id = state.forced ?? rest.shift();
    if (id === undefined) break;
    state.accept(id);
    output.push(id);
  }
  return output;
}

test('thinking that reaches its limit is closed by force, and goes on freely after that', () => {
  assert.deepEqual(spoken(limits(), [1, 2, 3, 4, 5, 6, 7, 8]), [1, 2, 3, 4, 10, 30, 11, 5, 6, 7, 8]);
  assert.deepEqual(spoken(limits({ maxTokens: 0 }), [1, 2]), [10, 30, 11, 1, 2], 'no budget: closed at once');
});

test('thinking that ends by itself is left alone', () => {
  assert.deepEqual(spoken(limits(), [1, 30, 2, 3, 4, 5, 6]), [1, 30, 2, 3, 4, 5, 6]);
  assert.deepEqual(spoken(limits({ endIds: [30, 31] }), [30, 30, 31, 1, 2, 3]), [30, 30, 31, 1, 2, 3], 'a marker of several ids');
  assert.deepEqual(
    spoken(limits({ endIds: [5, 5, 6], maxTokens: 9 }), [5, 5, 5, 6, 1, 2, 3, 4, 7, 8, 9]).length,
    11,
    'and one that repeats itself',
  );
});

test('thinking that the model opens itself counts from there; an output that begins otherwise is an answer', () => {
  const closed = limits({ isOpen: false });
  assert.deepEqual(spoken(closed, [20, 1, 2, 3, 4, 5]), [20, 1, 2, 3, 4, 10, 30, 11, 5]);
  assert.deepEqual(spoken(closed, [1, 20, 2, 3, 4, 5, 6]), [1, 20, 2, 3, 4, 5, 6]);
  assert.deepEqual(spoken(limits({ isOpen: false, maxAnswerTokens: 2 }), [1, 2, 3]), [1, 2]);
});

test('an answer ends with its own limit; the marker and what was forced do not count', () => {
  assert.deepEqual(spoken(limits({ maxAnswerTokens: 2 }), [1, 2, 3, 4, 5, 6, 7]), [1, 2, 3, 4, 10, 30, 11, 5, 6]);
  assert.deepEqual(spoken(limits({ maxAnswerTokens: 2, maxTokens: null }), [1, 30, 5, 6, 7]), [1, 30, 5, 6]);
});

const SCRIPT = { script: { nextToken: (tokens: readonly number[]) => tokens.length % 10 } };

test('forced tokens are outputs like others: counted, with log-probabilities, and beside requests without limits', () => {
  const thinker = makeRequest({ params: { maxTokens: 12, logprobs: 0, thinking: limits({ maxAnswerTokens: 3 }) } });
  const other = makeRequest({ params: { maxTokens: 12 } });
  const alone = run(makeEngine(SCRIPT).engine, [makeRequest({ params: { maxTokens: 12 } })]);
  const texts = run(makeEngine(SCRIPT).engine, [thinker, other]);
  const { ids, finish, outputs } = texts.of(thinker);
  assert.deepEqual(ids.slice(4, 7), [10, 30, 11]);
  assert.deepEqual([ids.length, finish], [10, 'length']);
  assert.ok(outputs.every((output) => output.logprobs?.length === output.ids.length));
  assert.deepEqual(texts.of(other).ids, [...alone.byName.values()][0]!.ids);
});

test('a text that is continued after any of its tokens is the same text, in all its choices', () => {
  const params = { maxTokens: 20, temperature: 0.9, thinking: limits({ maxTokens: 3, maxAnswerTokens: 5 }) };
  const whole = makeRequest({ choices: choices(2), params });
  const texts = run(makeEngine().engine, [whole]);
  for (const choice of [0, 1]) {
    const { ids, finish } = texts.of(whole, choice);
    assert.deepEqual(ids.slice(3, 6), [10, 30, 11]);
    for (let known = 1; known < ids.length; known++) {
      const request = makeRequest({ choices: [{ index: choice, outputIds: ids.slice(0, known), finished: false }], params });
      const rest = run(makeEngine().engine, [request]).of(request, choice);
      assert.deepEqual([...ids.slice(0, known), ...rest.ids], ids);
      assert.equal(rest.finish, finish);
    }
  }
});

test('a preempted thinker says the same', () => {
  const params = { maxTokens: 24, thinking: limits({ maxTokens: 9 }) };
  const expected = makeRequest({ params });
  const { ids } = run(makeEngine().engine, [expected]).of(expected);
  const { engine } = makeEngine({ numBlocks: 10 });
  const requests = [makeRequest({ promptIds: [9, 8, 7], params: { maxTokens: 24 } }), makeRequest({ params })];
  assert.deepEqual(run(engine, requests).of(requests[1]!).ids, ids);
  assert.ok(engine.stats().numPreemptions > 0, 'the scenario preempts');
});
