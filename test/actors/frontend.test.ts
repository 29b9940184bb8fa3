import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorCode } from '../../src/core/errors.ts';
import { TroupeError } from '../../src/core/errors.ts';
import { Cluster, type RunningGroup, testTokenizer } from '../support/cluster.ts';
import { generate, generateRequest } from '../support/generate.ts';

const withCode =
  (code: ErrorCode, facts: Partial<TroupeError> = {}) =>
  (error: unknown) => {
    assert.ok(error instanceof TroupeError, String(error));
    assert.equal(error.code, code);
    for (const [name, value] of Object.entries(facts)) assert.equal(error[name as keyof TroupeError], value, name);
    return true;
  };

async function servingCluster(...args: ConstructorParameters<typeof Cluster>) {
  const cluster = new Cluster(...args);
  const engine = cluster.startEngine();
  const running = cluster.startFrontend();
  await cluster.clock.until(() => running.frontend.readiness().state === 'ready');
  return { cluster, clock: cluster.clock, engine, ...running };
}

function assertEmpty({ rank }: RunningGroup): void {
  rank.engine.assertIntegrity();
  const { numRunning, numWaiting, numUsedBlocks } = rank.engine.stats();
  assert.deepEqual({ numRunning, numWaiting, numUsedBlocks }, { numRunning: 0, numWaiting: 0, numUsedBlocks: 0 });
}

test('a greedy request streams to its end with text, ids and usage that agree', async () => {
  const { clock, frontend, observations } = await servingCluster();
  const result = await clock.untilSettled(generate(frontend, generateRequest()));

  const [choice] = result.choices;
  assert.equal(choice!.ids.length, 12);
  assert.equal(choice!.finish, 'length');
  assert.equal(choice!.text, testTokenizer().decode(choice!.ids, { skipSpecialTokens: true }));
  assert.deepEqual(result.usage, { promptTokens: 4, completionTokens: 12, cachedTokens: 0, reasoningTokens: 0 });
  assert.equal(result.numReads, 12, 'a reader that keeps up gets every step');
  assert.equal(frontend.numLive, 0);
  assert.equal(observations.length, 1);
  const [seen] = observations;
  assert.deepEqual([seen!.finishReason, seen!.completionTokens, seen!.numAttempts], ['length', 12, 1]);
  assert.ok(seen!.queueMs! <= seen!.ttftMs! && seen!.ttftMs! < seen!.e2eMs);
  assert.equal(seen!.tpotMs, 10, 'one token a step of 10 ms');
});

test('n choices are sampled independently and share one prompt', async () => {
  const { clock, frontend, engine } = await servingCluster();
  const request = generateRequest({ n: 3, sampling: { temperature: 1, maxTokens: 20 }, seed: 99n });
  const result = await clock.untilSettled(generate(frontend, request));
  const texts = new Set(result.choices.map((choice) => choice.ids.join()));
  assert.equal(texts.size, 3);
  assert.equal(
    result.usage.completionTokens,
    result.choices.reduce((sum, choice) => sum + choice.ids.length, 0),
  );
  assert.equal(result.usage.promptTokens, 4);
  const again = await clock.untilSettled(generate(frontend, { ...request, requestId: 'again' }));
  assert.deepEqual(
    again.choices.map((choice) => choice.ids),
    result.choices.map((choice) => choice.ids),
    'the seed decides',
  );
  assertEmpty(engine);
});

test('requests without a seed get different ones from the frontend', async () => {
  const { clock, frontend } = await servingCluster();
  const request = () => generateRequest({ sampling: { temperature: 1, maxTokens: 20 } });
  const [a, b] = await clock.untilSettled(Promise.all([generate(frontend, request()), generate(frontend, request())]));
  assert.notDeepEqual(a!.choices[0]!.ids, b!.choices[0]!.ids);
});

test('a repeated prompt reports its cached tokens', async () => {
  const { clock, frontend } = await servingCluster();
  const prompt = { type: 'tokens', tokenIds: Array.from({ length: 23 }, (_, i) => 10 + i) } as const;
  await clock.untilSettled(generate(frontend, generateRequest({ prompt })));
  const second = await clock.untilSettled(generate(frontend, generateRequest({ prompt })));
  assert.equal(second.usage.cachedTokens, 20, 'the full blocks of 4, short of the last token');
});

test('an aborted signal ends the stream with finish abort and frees the engine at the next step', async () => {
  const { clock, frontend, engine, observations } = await servingCluster();
  const abort = new AbortController();
  const reading = generate(frontend, generateRequest({ n: 2, sampling: { maxTokens: 200 }, ignoreEos: true }), {
    signal: abort.signal,
    onRead: (choices) => choices[0]!.ids.length === 5 && abort.abort(),
  });
  const result = await clock.untilSettled(reading);
  assert.deepEqual(
    result.choices.map((choice) => choice.finish),
    ['abort', 'abort'],
  );
  assert.equal(result.choices[0]!.ids.length, 5);
  assert.equal(frontend.numLive, 0);
  await clock.advance(30);
  assertEmpty(engine);
  assert.deepEqual(
    observations.map((seen) => seen.finishReason),
    ['abort'],
  );
});

test('a reader that leaves its loop aborts the work', async () => {
  const { clock, frontend, engine } = await servingCluster();
  const leave = async () => {
    const request = generateRequest({ sampling: { maxTokens: 200 }, ignoreEos: true });
    const generation = await frontend.generate(request, new AbortController().signal);
    for await (const _ of generation.deltas) break;
  };
  await clock.untilSettled(leave());
  assert.equal(frontend.numLive, 0);
  await clock.advance(30);
  assertEmpty(engine);
});

test('a signal that is aborted before an engine accepted rejects generate', async () => {
  const { clock, frontend, engine } = await servingCluster();
  const abort = new AbortController();
  const generating = frontend.generate(generateRequest(), abort.signal);
  abort.abort();
  await assert.rejects(clock.untilSettled(generating), { name: 'AbortError' });
  await clock.advance(50);
  assertEmpty(engine);
});

test('a stop string across tokens ends its choice in text and in the engine, the other choices go on', async () => {
  const { clock, frontend, engine } = await servingCluster();
  const sampling = { temperature: 1, maxTokens: 40 };
  const free = await clock.untilSettled(generate(frontend, generateRequest({ n: 2, sampling, seed: 5n, ignoreEos: true })));
  const text = free.choices[0]!.text;
  const stop = text.slice(20, 26);
  const at = text.indexOf(stop);
  assert.ok(!free.choices[1]!.text.includes(stop), 'the scenario: only one choice says the stop string');

  const stopped = await clock.untilSettled(
    generate(frontend, generateRequest({ n: 2, sampling, seed: 5n, ignoreEos: true, stop: [stop] })),
  );
  assert.equal(stopped.choices[0]!.text, text.slice(0, at));
  assert.equal(stopped.choices[0]!.finish, 'stop');
  assert.deepEqual(stopped.choices[1], free.choices[1]);
  assert.equal(stopped.usage.completionTokens, stopped.choices[0]!.ids.length + 40);
  const kept = await clock.untilSettled(
    generate(frontend, generateRequest({ n: 2, sampling, seed: 5n, ignoreEos: true, stop: [stop], includeStopStrInOutput: true })),
  );
  assert.equal(kept.choices[0]!.text, text.slice(0, at) + stop);
  await clock.advance(50);
  assertEmpty(engine);
});

test('log-probabilities come with every token, named and as bytes', async () => {
  const { clock, frontend } = await servingCluster();
  const result = await clock.untilSettled(generate(frontend, generateRequest({ sampling: { logprobs: 2 }, wantTokenIds: false })));
  const { ids, logprobs } = result.choices[0]!;
  assert.deepEqual(
    logprobs.map((entry) => entry.tokenId),
    ids,
  );
  for (const entry of logprobs) {
    assert.equal(entry.top.length, 2);
    assert.equal(entry.top[0]!.tokenId, entry.tokenId, 'greedy: the sampled token is the best');
    assert.equal(entry.token, testTokenizer().tokenText(entry.tokenId));
    assert.deepEqual(entry.bytes, [...testTokenizer().tokenBytes(entry.tokenId)]);
    assert.ok(entry.logprob < 0 && entry.logprob === entry.top[0]!.logprob);
  }
});

test('a slow reader gets the same text in few deltas', async () => {
  const { clock, frontend } = await servingCluster();
  const request = () => generateRequest({ n: 2, sampling: { temperature: 1, maxTokens: 150, logprobs: 0 }, seed: 3n, ignoreEos: true });
  const fast = await clock.untilSettled(generate(frontend, request()));
  const generation = await clock.untilSettled(frontend.generate(request(), new AbortController().signal));
  await clock.until(() => frontend.numLive === 0);
  const texts = ['', ''];
  const ids: number[][] = [[], []];
  const logprobs: number[] = [0, 0];
  let numDeltas = 0;
  for await (const deltas of generation.deltas) {
    numDeltas += deltas.length;
    for (const delta of deltas) {
      texts[delta.choice] += delta.text;
      ids[delta.choice]!.push(...delta.tokenIds);
      logprobs[delta.choice]! += delta.logprobs!.length;
    }
  }
  assert.ok(numDeltas <= 65, `${numDeltas} deltas`);
  assert.deepEqual(
    texts,
    fast.choices.map((choice) => choice.text),
  );
  assert.deepEqual(
    ids,
    fast.choices.map((choice) => choice.ids),
  );
  assert.deepEqual(logprobs, [150, 150]);
});

test('a prompt that leaves no room is refused, one that leaves one token gets one', async () => {
  const { clock, frontend } = await servingCluster({ maxModelLen: 32 });
  const prompt = (length: number) => ({ type: 'tokens', tokenIds: Array.from({ length }, () => 9) }) as const;
  await assert.rejects(
    generate(frontend, generateRequest({ prompt: prompt(32) })),
    withCode('context_length_exceeded', { param: 'prompt' }),
  );
  const result = await clock.untilSettled(generate(frontend, generateRequest({ prompt: prompt(31), ignoreEos: true, sampling: {} })));
  assert.deepEqual([result.choices[0]!.ids.length, result.choices[0]!.finish], [1, 'length']);
  assert.equal(frontend.numLive, 0);
});

test('token ids outside the vocabulary, empty prompts and chat without a template are refused by name', async () => {
  const { frontend } = await servingCluster();
  const { vocabSize } = testTokenizer();
  const refuse = (overrides: Parameters<typeof generateRequest>[0], param: string) =>
    assert.rejects(generate(frontend, generateRequest(overrides)), withCode('invalid_request', { param }));
  await refuse({ prompt: { type: 'tokens', tokenIds: [1, vocabSize] } }, 'prompt[1]');
  await refuse({ prompt: { type: 'tokens', tokenIds: [] } }, 'prompt');
  await refuse({ sampling: { logitBias: [[vocabSize, 1]] } }, 'logit_bias');
  await refuse({ sampling: { minTokens: 5, maxTokens: 4 } }, 'min_tokens');
  const chat = { type: 'chat', messages: [], addGenerationPrompt: true, continueFinalMessage: false, templateKwargs: {} } as const;
  await refuse({ prompt: chat }, 'messages');
});

test('before the first engine serves, requests are refused with model_loading and readiness says loading', async () => {
  const cluster = new Cluster();
  const { frontend } = cluster.startFrontend();
  cluster.startEngine('engine-0', { loadMs: 5000 });
  await cluster.clock.advance(1000);
  assert.deepEqual(frontend.readiness(), { state: 'loading' });
  await assert.rejects(generate(frontend, generateRequest()), withCode('model_loading', { retryAfterMs: 2000 }));
  await cluster.clock.advance(4500);
  assert.deepEqual(frontend.readiness(), { state: 'ready' });
});

test('a full queue answers queue_full with a time to retry, and accepted requests finish', async () => {
  const { clock, frontend, engine } = await servingCluster({ engine: { maxNumSeqs: 2, maxNumWaiting: 3 } });
  const all = Array.from({ length: 9 }, () => generate(frontend, generateRequest({ ignoreEos: true })).catch((error: unknown) => error));
  const outcomes = await clock.untilSettled(Promise.all(all));
  const refused = outcomes.filter((outcome): outcome is TroupeError => outcome instanceof TroupeError);
  assert.equal(refused.length, 4, 'two run, three wait, four are refused');
  for (const error of refused) {
    assert.equal(error.code, 'queue_full');
    assert.ok(error.retryAfterMs! > 0);
  }
  assert.equal(frontend.numLive, 0);
  assertEmpty(engine);
});

test('a full engine is passed over for one with room', async () => {
  const { cluster, clock, frontend, engine } = await servingCluster({ engine: { maxNumSeqs: 1, maxNumWaiting: 0 } });
  const second = cluster.startEngine('engine-1');
  await clock.untilSettled(second.group.ready);
  const all = [1, 2].map(() => generate(frontend, generateRequest({ ignoreEos: true })));
  await clock.untilSettled(Promise.all(all));
  assert.deepEqual([engine.rank.engine.stats().promptTokens, second.rank.engine.stats().promptTokens], [4, 4]);
});

test('a request waits while no engine serves, and fails with no_engine when none comes', async () => {
  const { cluster, clock, frontend, engine } = await servingCluster();
  await cluster.kill(engine);
  const readiness = frontend.readiness();
  assert.equal(readiness.state, 'recovering');
  const waiting = generate(frontend, generateRequest());
  const startedAt = clock.monotonic();
  await assert.rejects(clock.untilSettled(waiting), withCode('no_engine'));
  assert.equal(clock.monotonic() - startedAt, 30_000);

  const served = generate(frontend, generateRequest());
  await clock.advance(20_000);
  cluster.startEngine('engine-0');
  assert.equal((await clock.untilSettled(served)).choices[0]!.finish, 'length');
});

test('requests that wait for an engine are bounded', async () => {
  const cluster = new Cluster();
  const engine = cluster.startEngine();
  const { frontend } = cluster.startFrontend('frontend-0', { maxNumWaiting: 2 });
  await cluster.clock.until(() => frontend.readiness().state === 'ready');
  await cluster.kill(engine);
  const waiting = [1, 2].map(() => generate(frontend, generateRequest()));
  await assert.rejects(generate(frontend, generateRequest()), withCode('queue_full', { retryAfterMs: 1000 }));
  cluster.startEngine();
  await cluster.clock.untilSettled(Promise.all(waiting));
});

test('a draining frontend finishes what runs and refuses what comes', async () => {
  const { clock, frontend } = await servingCluster();
  const running = generate(frontend, generateRequest());
  await clock.advance(30);
  let isDrained = false;
  const drained = frontend.drain().then(() => {
    isDrained = true;
  });
  await assert.rejects(generate(frontend, generateRequest()), withCode('server_draining'));
  assert.equal(frontend.readiness().state, 'draining');
  assert.equal(isDrained, false);
  assert.equal((await clock.untilSettled(running)).choices[0]!.ids.length, 12);
  await drained;
});

test('a frontend that was told of a failed server says why', async () => {
  const { frontend } = await servingCluster();
  frontend.setFailed('The engine died 6 times within 30 s.');
  assert.deepEqual(frontend.readiness(), { state: 'failed', reason: 'The engine died 6 times within 30 s.' });
  await assert.rejects(generate(frontend, generateRequest()), withCode('no_engine'));
});

test('closing a frontend fails what runs, gives everything back and leaves no timer', async () => {
  const { cluster, clock, frontend, engine } = await servingCluster();
  const running = generate(frontend, generateRequest({ sampling: { maxTokens: 200 }, ignoreEos: true }));
  await clock.advance(50);
  frontend.close();
  await assert.rejects(clock.untilSettled(running), withCode('server_draining'));
  await clock.advance(100);
  assertEmpty(engine);
  await clock.untilSettled(engine.group.stop());
  await cluster.kill(engine);
  await clock.advance(10_000);
  assert.equal(clock.numTimers, 0);
});

test('two frontends share two engines without seeing each other', async () => {
  const cluster = new Cluster();
  const engines = [cluster.startEngine('engine-0'), cluster.startEngine('engine-1')];
  const frontends = [cluster.startFrontend('frontend-0'), cluster.startFrontend('frontend-1')];
  await cluster.clock.until(() => frontends.every(({ frontend }) => frontend.readiness().state === 'ready'));
  await cluster.clock.advance(300);
  const request = (i: number) => generateRequest({ prompt: { type: 'tokens', tokenIds: [20 + i, 30] }, ignoreEos: true });
  const all = Array.from({ length: 16 }, (_, i) => generate(frontends[i % 2]!.frontend, request(i >> 1)));
  const results = await cluster.clock.untilSettled(Promise.all(all));
  for (let i = 0; i < 16; i += 2) assert.deepEqual(results[i]!.choices, results[i + 1]!.choices);
  for (const { rank } of engines) assert.equal(rank.engine.stats().promptTokens, 16, 'half of the requests each');
  for (const engine of engines) assertEmpty(engine);
});
