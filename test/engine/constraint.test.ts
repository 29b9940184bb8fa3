/** Grammars in the engine: what the mask means for a choice, late masks, forced runs. The grammars are scripted functions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Engine } from '../../src/engine/engine.ts';
import type { EngineRequest } from '../../src/engine/request.ts';
import { choices, type EngineKnobs, makeEngine, makeRequest, run, runToEnd, Texts } from '../support/engine-factory.ts';
import { FakeConstraints, type FakeGrammar } from '../support/fake-constraints.ts';

const END = 0;
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Four digits (ids 10 to 19), then the end. */
const DIGITS: FakeGrammar = { next: (ids) => (ids.length < 4 ? range(10, 19) : [END]) };
/** 20 21 22, one of 1 and 2, then 23 24 and the end: all but one token are without an alternative. */
const FRAME: FakeGrammar = {
  next: (ids) => [[20], [21], [22], [1, 2], [23], [24], [END]][ids.length] ?? [],
};

function makeConstrained(grammars: Record<string, FakeGrammar>, knobs: EngineKnobs = {}) {
  const constraints = new FakeConstraints(grammars);
  const made = makeEngine({
    constraints,
    ...knobs,
    script: { ...knobs.script, onSubmit: () => void constraints.tick() },
  });
  return { ...made, constraints };
}

const asking = (constraint: string, overrides: Parameters<typeof makeRequest>[0] = {}): EngineRequest =>
  makeRequest({ ...overrides, params: { constraint, stopTokenIds: [END], maxTokens: 20, ...overrides.params } });

/** Steps while there is work, and lets time pass when all that runs waits for masks. */
function runTicking(engine: Engine, constraints: FakeConstraints): Texts {
  const texts = new Texts();
  for (let i = 0; i < 10_000 && engine.stats().numRunning + engine.stats().numWaiting > 0; i++) {
    if (engine.hasWork) texts.take(engine.step());
    else constraints.tick();
    engine.assertIntegrity();
  }
  return texts;
}

test('only allowed tokens are chosen, greedy and drawn, and the end of the grammar ends the text', () => {
  for (const temperature of [0, 1.5]) {
    const { engine, constraints } = makeConstrained({ digits: DIGITS });
    const request = asking('digits', { params: { temperature } });
    const { ids, finish } = run(engine, [request]).of(request);
    assert.equal(ids.length, 5);
    assert.ok(
      ids.slice(0, 4).every((id) => id >= 10 && id <= 19),
      `${ids}`,
    );
    assert.deepEqual([ids[4], finish], [END, 'stop']);
    assert.equal(constraints.numOpen, 0);
  }
});

test('the mask wins over bad words, bias and min_tokens where they leave nothing', () => {
  const { engine } = makeConstrained({ digits: DIGITS });
  const request = asking('digits', {
    params: { minTokens: 15, badWords: range(10, 19).map((id) => [id]), logitBias: [[END, Number.NEGATIVE_INFINITY]] },
  });
  const { ids, finish } = run(engine, [request]).of(request);
  assert.equal(ids.length, 5);
  assert.deepEqual([ids[4], finish], [END, 'stop'], 'the end is the only thing left, long before min_tokens');
});

test('bad words and min_tokens hold where the grammar leaves a choice', () => {
  const openEnd: FakeGrammar = { next: () => [END, 5, 6] };
  const { engine } = makeConstrained({ openEnd });
  const request = asking('openEnd', { params: { minTokens: 6, maxTokens: 6, badWords: [[5]] } });
  assert.deepEqual(run(engine, [request]).of(request).ids, [6, 6, 6, 6, 6, 6]);
});

test('with ignore_eos a text goes on while the grammar allows it, and ends with stop where it must', () => {
  const grammar: FakeGrammar = { next: (ids) => (ids.length < 9 ? [END, 7] : [END]) };
  const { engine } = makeConstrained({ grammar }, { script: { nextToken: () => END } });
  const request = asking('grammar', { params: { stopTokenIds: [] } });
  const { ids, finish } = run(engine, [request]).of(request);
  assert.deepEqual([ids, finish], [[7, 7, 7, 7, 7, 7, 7, 7, 7, END], 'stop']);
});

test('log-probabilities are those of the untouched logits', () => {
  const free = makeRequest({ params: { maxTokens: 1, logprobs: 3 } });
  const expected = run(makeEngine().engine, [free]).of(free).outputs[0]!.logprobs![0]!;
  const { engine } = makeConstrained({ digits: DIGITS });
  const request = asking('digits', { params: { logprobs: 3, maxTokens: 1 } });
  const { ids, outputs } = run(engine, [request]).of(request);
  const entry = outputs[0]!.logprobs![0]!;
  assert.deepEqual(entry.topIds, expected.topIds);
  assert.deepEqual(entry.topLogprobs, expected.topLogprobs);
  assert.ok(ids[0]! >= 10 && !expected.topIds.includes(ids[0]!), 'the chosen token is none of the best');
});

test('a text is the same whether tokens without an alternative come in runs or are sampled, and runs take fewer steps', () => {
  for (const temperature of [0, 1]) {
    const sampled = makeConstrained({ frame: FRAME });
    const ahead = makeConstrained({ frame: { ...FRAME, runsAhead: true } });
    const request = asking('frame', { params: { temperature } });
    const texts = [run(sampled.engine, [request]).of(request), run(ahead.engine, [request]).of(request)];
    assert.deepEqual(texts[1]!.ids, texts[0]!.ids);
    assert.equal(texts[1]!.finish, 'stop');
    assert.equal(texts[0]!.ids.length, 7);
    assert.ok(ahead.runner.steps.length <= 4 && sampled.runner.steps.length >= 7, `${ahead.runner.steps.length} steps`);
  }
});

test('a forced run stops at max_tokens', () => {
  const { engine, constraints } = makeConstrained({ frame: { ...FRAME, runsAhead: true } });
  const request = asking('frame', { params: { maxTokens: 2 } });
  const { ids, finish } = run(engine, [request]).of(request);
  assert.deepEqual([ids, finish], [[20, 21], 'length']);
  assert.equal(constraints.numOpen, 0);
});

test('a late mask stalls its own sequence only, and changes no text', () => {
  const slow: FakeGrammar = { ...DIGITS, delay: () => 12 };
  const { engine, constraints, runner } = makeConstrained({ slow, digits: DIGITS });
  const late = asking('slow');
  const free = makeRequest({ params: { maxTokens: 30 } });
  const quick = asking('digits', { promptIds: late.promptIds });
  for (const request of [late, free, quick]) engine.addRequest(request);
  const texts = runTicking(engine, constraints);
  assert.deepEqual(texts.of(late).ids, texts.of(quick).ids);
  assert.equal(texts.of(free).ids.length, 30);
  const numSteps = runner.steps.filter((step) => step.sequences.some(({ slot }) => slot === 1)).length;
  assert.ok(numSteps <= 32, `the neighbour took ${numSteps} steps for 30 tokens`);
  assert.equal(constraints.numOpen, 0);
});

test('when all that runs waits for masks, the engine has no work until one comes', () => {
  const constraints = new FakeConstraints({ slow: { ...DIGITS, delay: () => 50 } });
  const { engine } = makeEngine({ constraints });
  const request = asking('slow');
  assert.equal(engine.addRequest(request).type, 'ack');
  assert.equal(runTicking(engine, constraints).of(request).finish, 'stop');
  assert.ok(constraints.numPauses < 20, `waited ${constraints.numPauses} times instead of sleeping`);
  assert.ok(engine.stats().numSteps < 20, `${engine.stats().numSteps} steps for five tokens`);
});

test('an abort while everything is held up takes effect at once', () => {
  const constraints = new FakeConstraints({ slow: { ...DIGITS, delay: () => 1e9 } });
  const { engine } = makeEngine({ constraints });
  const request = asking('slow');
  engine.addRequest(request);
  while (engine.hasWork) engine.step();
  engine.abort(request.key);
  assert.ok(engine.hasWork);
  const texts = runToEnd(engine);
  assert.equal(texts.of(request).finish, 'abort');
  assert.equal(constraints.numOpen, 0);
});

test('a grammar that fails ends its own sequence with error and says why', () => {
  const { engine, constraints } = makeConstrained({ stuck: { next: (ids) => (ids.length < 2 ? [3] : []) }, digits: DIGITS });
  const stuck = asking('stuck');
  const other = asking('digits');
  engine.addRequest(stuck);
  engine.addRequest(other);
  const texts = new Texts();
  const errors: string[] = [];
  while (engine.hasWork) {
    const report = engine.step();
    texts.take(report);
    errors.push(...report.errors.map(({ message }) => message));
  }
  assert.deepEqual([texts.of(stuck).ids, texts.of(stuck).finish, texts.of(other).finish], [[3, 3], 'error', 'stop']);
  assert.match(errors.join(), /the grammar allows no token here/);
  assert.equal(constraints.numOpen, 0);
});

test('a continued choice goes on as its grammar says, at every cut, also when it is preempted', () => {
  const grammar: FakeGrammar = { next: (ids) => (ids.length < 12 ? range(1 + (ids.length % 5), 8 + (ids.length % 7)) : [END]) };
  const request = asking('grammar', { params: { temperature: 1 } });
  const whole = run(makeConstrained({ grammar }).engine, [request]).of(request).ids;
  for (let cut = 0; cut < whole.length; cut++) {
    const rest = { ...request, choices: [{ index: 0, outputIds: whole.slice(0, cut), finished: false }] };
    const { engine } = makeConstrained({ grammar }, { numBlocks: 9, maxNumSeqs: 3 });
    const others = [1, 2].map((seed) => makeRequest({ seed: BigInt(seed), params: { maxTokens: 25 } }));
    const texts = run(engine, [...others, rest]);
    assert.deepEqual([...whole.slice(0, cut), ...texts.of(rest).ids], whole);
  }
});

test('each choice has a constraint of its own, and all are closed', () => {
  const { engine, constraints } = makeConstrained({ digits: DIGITS });
  const request = asking('digits', { choices: choices(3), params: { temperature: 2 } });
  const texts = run(engine, [request]);
  assert.equal(constraints.opened.length, 3);
  assert.equal(new Set([0, 1, 2].map((i) => texts.of(request, i).ids.join())).size, 3);
  assert.equal(constraints.numOpen, 0);
});

test('a constrained request that is refused leaves no constraint behind', () => {
  const { engine, constraints } = makeConstrained({ digits: DIGITS }, { maxModelLen: 16 });
  assert.equal(engine.addRequest(asking('digits', { promptIds: range(1, 20) })).type, 'nack');
  assert.deepEqual([constraints.opened.length, constraints.numDiscarded], [0, 1]);
});
