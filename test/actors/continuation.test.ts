/** Engines die; streams go on elsewhere with the same tokens. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TroupeError } from '../../src/core/errors.ts';
import type { GenerateRequest } from '../../src/core/generation.ts';
import { DEEPSEEK_R1 } from '../../src/text/reasoning/think-tags.ts';
import { FaultyTransport } from '../../src/transport/faulty-transport.ts';
import { Cluster, testTokenizer } from '../support/cluster.ts';
import { generate, generateRequest, type ReadResult } from '../support/generate.ts';

/** 32 greedy and 32 seeded requests of different lengths, with log-probabilities, some with a stop string or several choices. */
function workload(): GenerateRequest[] {
  return Array.from({ length: 64 }, (_, i) =>
    generateRequest({
      requestId: `request-${i}`,
      prompt: { type: 'tokens', tokenIds: Array.from({ length: 3 + (i % 13) }, (_, j) => 5 + ((i * 7 + j) % 90)) },
      n: i % 9 === 0 ? 2 : 1,
      sampling: { temperature: i < 32 ? 0 : 0.9, topP: 0.95, maxTokens: 16 + (i % 24), logprobs: 1, repetitionPenalty: 1.1 },
      seed: BigInt(1000 + i),
      stop: i % 5 === 0 ? ['e'] : [],
    }),
  );
}

let unfaultedWorkload: Promise<ReadResult[]> | undefined;
const expectedOfWorkload = (): Promise<ReadResult[]> => {
  unfaultedWorkload ??= unfaulted(workload());
  return unfaultedWorkload;
};

async function unfaulted(requests: readonly GenerateRequest[]): Promise<ReadResult[]> {
  const cluster = new Cluster({ engine: { maxNumSeqs: 16 } });
  cluster.startEngine();
  const { frontend } = cluster.startFrontend();
  await cluster.clock.until(() => frontend.readiness().state === 'ready');
  return cluster.clock.untilSettled(Promise.all(requests.map((request) => generate(frontend, request))));
}

/** Text, ids, log-probabilities and reasons; not the cached tokens, which may differ. */
const said = (results: readonly ReadResult[]) =>
  results.map(({ choices, usage }) => ({ choices, completionTokens: usage.completionTokens }));

for (const killAfterMs of [60, 150, 290]) {
  test(`64 streams are token-identical when their engine dies after ${killAfterMs} ms and comes back`, async () => {
    const expected = await expectedOfWorkload();
    const cluster = new Cluster({ engine: { maxNumSeqs: 16 } });
    const first = cluster.startEngine();
    const { frontend, observations } = cluster.startFrontend();
    await cluster.clock.until(() => frontend.readiness().state === 'ready');
    const running = Promise.all(workload().map((request) => generate(frontend, request)));
    await cluster.clock.advance(killAfterMs);
    await cluster.kill(first);
    assert.equal(frontend.readiness().state, 'recovering');
    await cluster.clock.advance(700);
    const second = cluster.startEngine('engine-0', { loadMs: 1000 });
    const results = await cluster.clock.untilSettled(running);
    assert.deepEqual(said(results), said(expected));
    assert.ok(observations.some((seen) => seen.numAttempts === 2));
    assert.equal(observations.length, 64);
    await cluster.clock.advance(50);
    second.rank.engine.assertIntegrity();
    assert.equal(second.rank.engine.stats().numUsedBlocks, 0);
  });
}

test('streams go on at once on another replica when one dies', async () => {
  const expected = await expectedOfWorkload();
  const cluster = new Cluster({ engine: { maxNumSeqs: 16 } });
  const engines = [cluster.startEngine('engine-0'), cluster.startEngine('engine-1')];
  const { frontend } = cluster.startFrontend();
  await cluster.clock.until(() => frontend.readiness().state === 'ready');
  await cluster.clock.advance(300);
  const running = Promise.all(workload().map((request) => generate(frontend, request)));
  await cluster.clock.advance(120);
  await cluster.kill(engines[1]!);
  assert.deepEqual(said(await cluster.clock.untilSettled(running, 3000)), said(expected));
});

test('an engine that drops a stopping group hands its streams on without waiting for silence', async () => {
  const expected = await expectedOfWorkload();
  const cluster = new Cluster({ engine: { maxNumSeqs: 16 } });
  const first = cluster.startEngine('engine-0');
  const { frontend } = cluster.startFrontend();
  await cluster.clock.until(() => frontend.readiness().state === 'ready');
  const running = Promise.all(workload().map((request) => generate(frontend, request)));
  await cluster.clock.advance(100);
  cluster.startEngine('engine-1');
  await cluster.clock.untilSettled(first.group.stop());
  assert.deepEqual(said(await cluster.clock.untilSettled(running, 3000)), said(expected));
});

test('a rank that fails ends its group, and its streams go on in the next start', async () => {
  const [expected] = await unfaulted([generateRequest({ sampling: { maxTokens: 40 }, ignoreEos: true })]);
  const cluster = new Cluster();
  const first = cluster.startEngine();
  const { frontend } = cluster.startFrontend();
  await cluster.clock.until(() => frontend.readiness().state === 'ready');
  const running = generate(frontend, generateRequest({ sampling: { maxTokens: 40 }, ignoreEos: true }));
  await cluster.clock.advance(100);
  first.rank.end('segmentation fault');
  assert.deepEqual((await first.group.ended).error?.message, 'segmentation fault');
  assert.deepEqual(frontend.readiness().state, 'recovering');
  cluster.startEngine();
  assert.deepEqual((await cluster.clock.untilSettled(running)).choices, expected!.choices);
});

for (const [what, isHeldUp] of [
  ['ends with recover_stop and the text it has', false],
  ['fails with engine_failed when it has none', true],
] as const) {
  test(`a request that has seen three engines die ${what}`, async () => {
    const [whole] = await unfaulted([generateRequest({ sampling: { maxTokens: 200 }, ignoreEos: true })]);
    const cluster = new Cluster();
    const stepMs = isHeldUp ? 10_000 : 10;
    let engine = cluster.startEngine('engine-0', { stepMs });
    const { frontend, observations } = cluster.startFrontend();
    await cluster.clock.until(() => frontend.readiness().state === 'ready');
    const running = generate(frontend, generateRequest({ sampling: { maxTokens: 200 }, ignoreEos: true }));
    running.catch(() => {});
    for (let death = 0; death < 3; death++) {
      await cluster.clock.advance(100);
      await cluster.kill(engine);
      if (death < 2) engine = cluster.startEngine('engine-0', { stepMs });
    }
    if (isHeldUp) {
      await assert.rejects(
        cluster.clock.untilSettled(running),
        (error: unknown) => error instanceof TroupeError && error.code === 'engine_failed' && error.message.includes('3 times'),
      );
    } else {
      const { choices, usage } = await cluster.clock.untilSettled(running);
      const { ids, finish } = choices[0]!;
      assert.ok(ids.length > 5 && ids.length < 200);
      assert.deepEqual(ids, whole!.choices[0]!.ids.slice(0, ids.length));
      assert.deepEqual([finish, usage.completionTokens], ['recover_stop', ids.length]);
    }
    assert.deepEqual(
      observations.map((seen) => [seen.finishReason, seen.numAttempts]),
      [[isHeldUp ? 'error' : 'recover_stop', 3]],
    );
  });
}

test('a stream is not continued by an engine that would give other tokens', async () => {
  const cluster = new Cluster();
  const first = cluster.startEngine('engine-0');
  cluster.startEngine('engine-1', { fingerprint: 'other' });
  const { frontend } = cluster.startFrontend();
  await cluster.clock.until(() => frontend.readiness().state === 'ready');
  const running = generate(frontend, generateRequest({ sampling: { maxTokens: 100 }, ignoreEos: true }));
  running.catch(() => {});
  await cluster.clock.advance(100);
  assert.equal(first.rank.engine.stats().numRunning, 1);
  await cluster.kill(first);
  await cluster.clock.advance(10_000);
  assert.equal(frontend.numLive, 1, 'it waits');
  const { choices } = await cluster.clock.untilSettled(running);
  assert.equal(choices[0]!.finish, 'recover_stop', 'what was said stands');
});

test('while an engine is known to be loading, a stream waits longer than engineWaitMs', async () => {
  const cluster = new Cluster();
  const first = cluster.startEngine();
  const { frontend } = cluster.startFrontend();
  await cluster.clock.until(() => frontend.readiness().state === 'ready');
  const running = generate(frontend, generateRequest({ sampling: { maxTokens: 40 }, ignoreEos: true }));
  await cluster.clock.advance(100);
  await cluster.kill(first);
  cluster.startEngine('engine-0', { loadMs: 90_000 });
  assert.equal((await cluster.clock.untilSettled(running, 100_000)).choices[0]!.ids.length, 40);
});

test('a silent engine is lost after three seconds, and what it still says is refused', async () => {
  const [expected] = await unfaulted([generateRequest({ sampling: { maxTokens: 100 }, ignoreEos: true })]);
  const wires = new Map<string, FaultyTransport>();
  const cluster = new Cluster({
    wrap: (transport, clock) => {
      const wire = new FaultyTransport(transport, { clock, random: () => 0.5 });
      wires.set(transport.peerId, wire);
      return wire;
    },
  });
  const first = cluster.startEngine('engine-0', { stepMs: 100 });
  const { frontend } = cluster.startFrontend();
  await cluster.clock.until(() => frontend.readiness().state === 'ready');
  const running = generate(frontend, generateRequest({ sampling: { maxTokens: 100 }, ignoreEos: true }));
  await cluster.clock.advance(1000);
  wires.get(first.peerId)!.cut({ isSilent: true });
  await cluster.clock.advance(3300);
  assert.equal(frontend.readiness().state, 'recovering');
  cluster.startEngine('engine-1');
  await cluster.clock.advance(100);
  wires.get(first.peerId)!.restore();
  assert.deepEqual((await cluster.clock.untilSettled(running)).choices, expected!.choices);
  await cluster.clock.advance(1000);
  assert.equal(first.rank.engine.stats().numRunning, 0, 'the first engine was told to forget it');
});

test("limits on thinking hold through an engine's death: the same text, closed at the same place", async () => {
  const text = {
    tokenizer: testTokenizer(),
    chatTemplate: null,
    maxModelLen: 256,
    vocabSize: testTokenizer().vocabSize,
    defaults: {},
    eosTokenIds: [2],
    parsers: { reasoning: DEEPSEEK_R1, tools: null },
  };
  const request = generateRequest({
    requestId: 'thinker',
    n: 2,
    sampling: { temperature: 0.9, maxTokens: 60 },
    reasoningMaxTokens: 9,
    responseMaxTokens: 12,
    seed: 5n,
    ignoreEos: true,
  });
  const choicesOf = async (killAfterMs: number | null) => {
    const cluster = new Cluster();
    const first = cluster.startEngine();
    const { frontend } = cluster.startFrontend('frontend-0', { text });
    await cluster.clock.until(() => frontend.readiness().state === 'ready');
    const running = generate(frontend, request);
    if (killAfterMs !== null) {
      await cluster.clock.advance(killAfterMs);
      await cluster.kill(first);
      cluster.startEngine();
    }
    return (await cluster.clock.untilSettled(running)).choices;
  };
  const expected = await choicesOf(null);
  const forced = testTokenizer().encode('\n</think>\n\n');
  for (const choice of expected) {
    assert.deepEqual(choice.ids.slice(9, 9 + forced.length), forced);
    assert.deepEqual([choice.ids.length, choice.finish], [9 + forced.length + 12, 'length']);
  }
  for (const killAfterMs of [60, 120, 160]) assert.deepEqual(await choicesOf(killAfterMs), expected);
});

test('a request ends at its deadline, counted from its arrival, wherever it is; its engine stops working on it', async () => {
  const cluster = new Cluster();
  const engine = cluster.startEngine();
  const { frontend, observations } = cluster.startFrontend('frontend-0', { requestTimeoutMs: 400 });
  await cluster.clock.until(() => frontend.readiness().state === 'ready');
  const timeout = (error: unknown) => error instanceof TroupeError && error.code === 'timeout';
  const request = (timeoutMs?: number) => generateRequest({ sampling: { maxTokens: 200 }, ignoreEos: true, timeoutMs });
  for (const timeoutMs of [300, undefined]) {
    const startedAt = cluster.clock.monotonic();
    let numTokens = 0;
    const running = generate(frontend, request(timeoutMs), { onRead: ([choice]) => (numTokens = choice!.ids.length) });
    await assert.rejects(cluster.clock.untilSettled(running), timeout);
    assert.equal(cluster.clock.monotonic() - startedAt, timeoutMs ?? 400);
    assert.ok(numTokens > 5, 'it was running');
    await cluster.clock.advance(100);
    assert.equal(engine.rank.engine.stats().numRunning, 0);
  }
  await cluster.kill(engine);
  await assert.rejects(cluster.clock.untilSettled(generate(frontend, request(500)), 600), timeout, 'it was waiting for an engine');
  assert.deepEqual(
    observations.map((seen) => seen.finishReason),
    ['error', 'error', 'error'],
  );
  assert.equal(cluster.clock.numTimers < 10, true, 'no timer stays');
});

test('a choice whose last tokens were all nearly certain ends with stop, at the same token through an engine death', async () => {
  // Certain at every third token, and from the 20th on.
  const script = {
    nextToken: (tokens: readonly number[]) => (tokens.length % 3 === 0 || tokens.length >= 20 ? 9 : undefined),
  };
  const text = {
    tokenizer: testTokenizer(),
    chatTemplate: null,
    maxModelLen: 256,
    vocabSize: testTokenizer().vocabSize,
    defaults: {},
    eosTokenIds: [2],
    earlyStop: { windowSize: 7, threshold: 0.99 },
  };
  for (const killAfterMs of [null, 170, 230]) {
    const cluster = new Cluster({ engine: { script } });
    const first = cluster.startEngine();
    const { frontend } = cluster.startFrontend('frontend-0', { text });
    await cluster.clock.until(() => frontend.readiness().state === 'ready');
    const running = generate(frontend, generateRequest({ sampling: { maxTokens: 100 }, ignoreEos: true }));
    if (killAfterMs !== null) {
      await cluster.clock.advance(killAfterMs);
      await cluster.kill(first);
      cluster.startEngine();
    }
    const { choices, usage } = await cluster.clock.untilSettled(running);
    const [{ ids, finish, logprobs }] = choices as [(typeof choices)[0]];
    assert.deepEqual([ids.length, finish, usage.completionTokens], [16 + 7, 'stop', 23], 'the 16 first outputs stand before position 20');
    assert.deepEqual(logprobs, [], 'nobody asked for them');
  }
});
