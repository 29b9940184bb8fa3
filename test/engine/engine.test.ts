import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EngineRequest } from '../../src/engine/request.ts';
import { choices, makeEngine, makeRequest, run, runToEnd, Texts } from '../support/engine-factory.ts';

const continuing = (outputIds: number[]): EngineRequest['choices'] => [{ index: 0, outputIds, finished: false }];

test('a greedy request gives maxTokens tokens, one a step, and finishes with length', () => {
  const { engine, runner } = makeEngine({ script: { nextToken: (tokens) => tokens.length } });
  const request = makeRequest({ params: { maxTokens: 4 } });
  const text = run(engine, [request]).of(request);
  assert.deepEqual(text.ids, [5, 6, 7, 8]);
  assert.deepEqual(
    text.outputs.map(({ firstIndex, ids, finish, cachedTokens, logprobs }) => ({ firstIndex, ids, finish, cachedTokens, logprobs })),
    [
      { firstIndex: 0, ids: [5], finish: null, cachedTokens: 0, logprobs: null },
      { firstIndex: 1, ids: [6], finish: null, cachedTokens: null, logprobs: null },
      { firstIndex: 2, ids: [7], finish: null, cachedTokens: null, logprobs: null },
      { firstIndex: 3, ids: [8], finish: 'length', cachedTokens: null, logprobs: null },
    ],
  );
  assert.equal(runner.steps.length, 5, 'four tokens, then the row is given back');
  assert.deepEqual(runner.steps.at(-1)!.sequences, []);
});

test('a stop token ends the text and is its last token', () => {
  const { engine } = makeEngine({ script: { nextToken: (tokens) => tokens.length } });
  const request = makeRequest({ params: { stopTokenIds: [9, 7] } });
  const text = run(engine, [request]).of(request);
  assert.deepEqual([text.ids, text.finish], [[5, 6, 7], 'stop']);
});

test('a stop token that is also the last one allowed finishes with stop', () => {
  const { engine } = makeEngine({ script: { nextToken: (tokens) => tokens.length } });
  const request = makeRequest({ params: { stopTokenIds: [7], maxTokens: 3 } });
  assert.equal(run(engine, [request]).of(request).finish, 'stop');
});

test('a stop token is not sampled before minTokens, and a stop in the prompt does not matter', () => {
  const { engine } = makeEngine({ script: { nextToken: () => 5 } });
  const request = makeRequest({ params: { stopTokenIds: [5], minTokens: 3 } });
  const text = run(engine, [request]).of(request);
  assert.equal(text.ids.length, 4);
  assert.ok(!text.ids.slice(0, 3).includes(5));
  assert.deepEqual([text.ids[3], text.finish], [5, 'stop']);
});

test('a text ends with length where the model length is reached, and where the whole KV cache could hold no more', () => {
  const request = makeRequest({ params: { maxTokens: 1000 } });
  assert.equal(run(makeEngine({ maxModelLen: 20 }).engine, [request]).of(request).ids.length, 15);
  const { engine } = makeEngine({ numBlocks: 3 });
  const text = run(engine, [request]).of(request);
  assert.deepEqual([text.ids.length, text.finish], [8, 'length'], '12 tokens are computed, the 13th is known');
  assert.equal(engine.stats().numPreemptions, 0);
});

test('a prompt that leaves no room for a token is refused as too long, with the numbers', () => {
  const { engine } = makeEngine({ maxModelLen: 20, numBlocks: 8 });
  const prompt = (length: number): EngineRequest => makeRequest({ promptIds: new Array<number>(length).fill(1) });
  const refused = engine.addRequest(prompt(20));
  assert.ok(refused.type === 'nack' && refused.code === 'too_long');
  assert.match(refused.message, /The prompt has 20 tokens; at most 19 \(maxModelLen 20, KV cache 8 blocks of 4\)/);
  assert.equal(engine.addRequest(prompt(19)).type, 'ack');
  const small = makeEngine({ numBlocks: 2 }).engine.addRequest(prompt(9));
  assert.ok(small.type === 'nack' && small.code === 'too_long');
});

test('a continued choice emits only what is new, from the index where it stopped', () => {
  const { engine } = makeEngine({ script: { nextToken: (tokens) => tokens.length } });
  const request = makeRequest({ choices: continuing([5, 6]), params: { maxTokens: 4 } });
  const { outputs, finish } = run(engine, [request]).of(request);
  assert.deepEqual(
    outputs.map(({ firstIndex, ids }) => [firstIndex, ids]),
    [
      [2, [7]],
      [3, [8]],
    ],
  );
  assert.equal(finish, 'length');
});

test('a continued choice that was in fact complete only gets its finish', () => {
  const complete: readonly (readonly [EngineRequest, string])[] = [
    [makeRequest({ choices: continuing([1, 2, 9]), params: { stopTokenIds: [9] } }), 'stop'],
    [makeRequest({ choices: continuing([1, 2]), params: { maxTokens: 2 } }), 'length'],
    [makeRequest({ params: { maxTokens: 0 } }), 'length'],
    [makeRequest({ choices: continuing(new Array<number>(251).fill(1)), params: { maxTokens: 999 } }), 'length'],
  ];
  for (const [request, finish] of complete) {
    const { engine, runner } = makeEngine();
    const text = run(engine, [request]).of(request);
    assert.deepEqual([text.ids, text.finish], [[], finish]);
    assert.equal(runner.steps.length, 0);
  }
});

test('a finished choice is not run again, and a request of nothing else is gone at once', () => {
  const { engine } = makeEngine();
  const request = makeRequest({
    choices: [
      { index: 0, outputIds: [4], finished: true },
      { index: 1, outputIds: [4], finished: false },
    ],
  });
  assert.deepEqual([...run(engine, [request]).byName.keys()], [`${request.key}/1`]);
  engine.addRequest({ ...request, choices: [{ index: 0, outputIds: [4], finished: true }] });
  assert.equal(engine.hasWork, false);
});

test('abort ends waiting and running choices at the step border, with an empty output', () => {
  const { engine, runner } = makeEngine({ maxNumSeqs: 1 });
  const running = makeRequest();
  const waiting = makeRequest();
  engine.addRequest(running);
  engine.addRequest(waiting);
  const texts = new Texts();
  texts.take(engine.step());
  engine.abort(running.key);
  engine.abort(waiting.key);
  engine.abort('never heard of');
  assert.equal(engine.stats().numRunning + engine.stats().numWaiting, 0);
  assert.ok(engine.hasWork, 'a row to give back and two outputs to tell');
  runToEnd(engine, texts);
  assert.deepEqual([texts.of(running).ids.length, texts.of(running).finish], [1, 'abort']);
  assert.deepEqual([texts.of(waiting).ids.length, texts.of(waiting).finish], [0, 'abort']);
  assert.equal(runner.rowTokens(0).length, 0);
});

test('one choice can be aborted alone, and its key can be used again once all have ended', () => {
  const { engine } = makeEngine();
  const request = makeRequest({ choices: choices(2) });
  engine.addRequest(request);
  assert.throws(() => engine.addRequest(request), /is added twice/);
  const texts = new Texts();
  texts.take(engine.step());
  engine.abort(request.key, 1);
  runToEnd(engine, texts);
  assert.deepEqual([texts.of(request, 0).finish, texts.of(request, 1).finish], ['length', 'abort']);
  run(engine, [request]);
});

test('seeded text is a function of seed, choice and position', () => {
  const say = (overrides: Parameters<typeof makeRequest>[0]): string => {
    const request = makeRequest({ params: { temperature: 1, maxTokens: 12 }, ...overrides });
    const texts = run(makeEngine().engine, [request]);
    return request.choices.map(({ index }) => texts.of(request, index).ids.join()).join(' ');
  };
  assert.equal(say({ seed: 1n }), say({ seed: 1n }));
  assert.notEqual(say({ seed: 1n }), say({ seed: 2n }));
  assert.equal(say({ choices: [{ index: 1, outputIds: [], finished: false }] }), say({ choices: choices(2) }).split(' ')[1]);
});

test('log-probabilities come with every token, also of greedy text, over the untouched logits', () => {
  const { engine } = makeEngine({ script: { editLogits: (logits) => logits.fill(0).fill(Math.log(3), 4, 5) } });
  const request = makeRequest({ params: { logprobs: 2, logitBias: [[6, 50]], maxTokens: 2 } });
  const { ids, outputs } = run(engine, [request]).of(request);
  assert.deepEqual(ids, [6, 6]);
  for (const { logprobs } of outputs) {
    assert.ok(Math.abs(logprobs![0]!.logprob - Math.log(1 / 34)) < 1e-6);
    assert.deepEqual(logprobs![0]!.topIds, [4, 0]);
    assert.ok(Math.abs(logprobs![0]!.topLogprobs[0]! - Math.log(3 / 34)) < 1e-6);
  }
});

test('logits that are not numbers end one sequence with an error that names the step; its neighbour goes on', () => {
  for (const temperature of [0, 1]) {
    const { engine } = makeEngine({
      script: { editLogits: (logits, tokens) => tokens[0] === 9 && tokens.length > 10 && logits.fill(Number.NaN) },
    });
    const bad = makeRequest({ promptIds: [9, 9, 9, 9, 9, 9, 9, 9, 9], params: { temperature, logprobs: 0 } });
    const good = makeRequest();
    const texts = new Texts();
    const errors: Error[] = [];
    for (const request of [bad, good]) engine.addRequest(request);
    while (engine.hasWork) {
      const report = engine.step();
      texts.take(report);
      errors.push(...report.errors);
    }
    assert.deepEqual([texts.of(bad).finish, texts.of(bad).ids.length, texts.of(good).finish], ['error', 2, 'length']);
    assert.equal(errors.length, 1);
    assert.match(errors[0]!.message, new RegExp(`Step 3, request ${bad.key}, choice 0: the logit of token 0 is NaN`));
    assert.equal(engine.stats().numCachedBlocks, 3, "the good one's; nothing of the bad one stays in the prefix cache");
  }
});

test('an argmax outside the vocabulary is an error, not a token', () => {
  const { engine } = makeEngine({ script: { editLogits: (logits) => logits.fill(Number.NaN) } });
  engine.addRequest(makeRequest());
  const report = engine.step();
  assert.match(report.errors[0]!.message, /the model's argmax is -1/);
  assert.equal(report.outputs[0]!.finish, 'error');
});

test('token ids outside the vocabulary and empty prompts never reach the runner', () => {
  for (const overrides of [{ promptIds: [1, 32] }, { promptIds: [-1] }, { promptIds: [] }, { choices: continuing([1.5]) }]) {
    const { engine, runner } = makeEngine();
    assert.equal(engine.addRequest(makeRequest(overrides)).type, 'ack');
    const report = engine.step();
    assert.equal(report.outputs[0]!.finish, 'error');
    assert.match(report.errors[0]!.message, /not in the vocabulary of 32|the prompt is empty/);
    assert.equal(runner.steps.length, 0);
    assert.equal(engine.hasWork, false);
  }
});

test('an error of the runner is not caught: the engine cannot go on', () => {
  const { engine } = makeEngine({
    script: {
      onSubmit: () => {
        throw new Error('device lost');
      },
    },
  });
  engine.addRequest(makeRequest());
  assert.throws(() => engine.step(), /device lost/);
});
