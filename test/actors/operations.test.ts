/** Aborts and pauses by an operator, in every frontend and engine of a server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TroupeError } from '../../src/core/errors.ts';
import type { FinishReason } from '../../src/core/generation.ts';
import { Cluster, type RunningFrontend } from '../support/cluster.ts';
import { generate, generateRequest, type ReadResult } from '../support/generate.ts';

const LONG = { ignoreEos: true, sampling: { maxTokens: 200 } };

async function server({ numFrontends = 1 } = {}) {
  const cluster = new Cluster();
  const engine = cluster.startEngine();
  const frontends = Array.from({ length: numFrontends }, (_, i) => cluster.startFrontend(`frontend-${i}`));
  await cluster.clock.until(() => frontends.every(({ frontend }) => frontend.readiness().state === 'ready'));
  const [first, second] = frontends as [RunningFrontend, RunningFrontend];
  return { cluster, clock: cluster.clock, engine, frontends, first: first.frontend, second: second?.frontend };
}

const finishes = (result: ReadResult): (FinishReason | null)[] => result.choices.map((choice) => choice.finish);
const numTokens = (result: ReadResult): number => result.choices.reduce((sum, choice) => sum + choice.ids.length, 0);

test('an aborted request ends with its text so far, whichever frontend is asked, with or without its prefix', async () => {
  const { clock, engine, first, second } = await server({ numFrontends: 2 });
  const reading = [
    generate(first, generateRequest({ requestId: 'chatcmpl-a', ...LONG, n: 2 })),
    generate(second, generateRequest({ requestId: 'cmpl-b', ...LONG })),
    generate(second, generateRequest({ requestId: 'cmpl-c', sampling: { maxTokens: 30 }, ignoreEos: true })),
  ];
  await clock.advance(100);
  const result = await clock.untilSettled(first.abortRequests(['a', 'cmpl-b', 'nobody']));
  assert.deepEqual(result, { aborted: ['chatcmpl-a', 'cmpl-b'], notFound: ['nobody'] });
  const [a, b, c] = await clock.untilSettled(Promise.all(reading));
  assert.deepEqual([finishes(a!), finishes(b!), finishes(c!)], [['abort', 'abort'], ['abort'], ['length']]);
  assert.ok(numTokens(a!) > 2 && numTokens(a!) < 60, `${numTokens(a!)} tokens came before the abort`);
  assert.equal(a!.usage.completionTokens, numTokens(a!));
  await clock.advance(50);
  assert.equal(engine.rank.engine.stats().numUsedBlocks, 0, 'the engine gave everything back');
});

test("a batch's id aborts all its prompts, a part's id only that part, and a look-alike nothing", async () => {
  const { clock, first } = await server();
  const part = (i: number) => generate(first, generateRequest({ requestId: `cmpl-x_${i}`, batchId: 'cmpl-x', ...LONG }));
  const reading = [part(0), part(1), generate(first, generateRequest({ requestId: 'cmpl-x_y', sampling: { maxTokens: 30 } }))];
  await clock.advance(50);
  assert.deepEqual(await clock.untilSettled(first.abortRequests(['x_1'])), { aborted: ['cmpl-x_1'], notFound: [] });
  assert.deepEqual(await clock.untilSettled(first.abortRequests(['x'])), { aborted: ['cmpl-x'], notFound: [] });
  assert.deepEqual((await clock.untilSettled(Promise.all(reading))).map(finishes), [['abort'], ['abort'], ['length']]);
});

test('a request that waits for an engine is aborted with no text', async () => {
  const { cluster, clock, engine, first } = await server();
  await cluster.kill(engine);
  const reading = generate(first, generateRequest({ requestId: 'cmpl-waiting' }));
  await clock.advance(10);
  assert.deepEqual((await clock.untilSettled(first.abortRequests('all'))).aborted, ['cmpl-waiting']);
  const result = await clock.untilSettled(reading);
  assert.deepEqual([finishes(result), numTokens(result)], [['abort'], 0]);
});

test('a frontend that died is not waited for', async () => {
  const { cluster, clock, frontends, first } = await server({ numFrontends: 2 });
  await clock.advance(300);
  await cluster.kill(frontends[1]!);
  assert.deepEqual(await clock.untilSettled(first.abortRequests(['x'])), { aborted: [], notFound: ['x'] });
});

test('kept requests stop between two tokens in every frontend and go on with the same text', async () => {
  const request = (i: number) =>
    generateRequest({ requestId: `cmpl-${i}`, seed: BigInt(i), ignoreEos: true, sampling: { temperature: 1, maxTokens: 60 } });
  const calm = await server();
  const expected = await calm.clock.untilSettled(Promise.all([generate(calm.first, request(1)), generate(calm.first, request(2))]));

  const { clock, engine, first, second } = await server({ numFrontends: 2 });
  let numRead = 0;
  const reading = [first, second].map((frontend, i) => generate(frontend!, request(i + 1), { onRead: () => numRead++ }));
  await clock.advance(200);
  await clock.untilSettled(second!.pause('keep'));
  assert.equal(engine.rank.engine.hasWork, false);
  await clock.advance(20);
  const before = numRead;
  assert.ok(before > 4);
  await clock.advance(10 * 60_000);
  assert.equal(numRead, before, 'ten minutes bring no token');
  assert.deepEqual(
    [first, second!].map((frontend) => frontend.readiness().state),
    ['paused', 'paused'],
  );
  await clock.untilSettled(first.resume());
  const results = await clock.untilSettled(Promise.all(reading));
  assert.deepEqual(
    results.map(({ choices }) => choices),
    expected.map(({ choices }) => choices),
  );
  assert.deepEqual([first.readiness().state, second!.pauseState().isPaused], ['ready', false]);
});

test('a kept request outlives its engine: the successor starts paused, and the text goes on after the resume', async () => {
  const request = () => generateRequest({ requestId: 'cmpl-kept', sampling: { maxTokens: 40 }, ignoreEos: true });
  const calm = await server();
  const expected = await calm.clock.untilSettled(generate(calm.first, request()));

  const { cluster, clock, engine, first } = await server();
  const reading = generate(first, request());
  await clock.advance(150);
  await clock.untilSettled(first.pause('keep'));
  await cluster.kill(engine);
  await clock.advance(100_000);
  const successor = cluster.startEngine();
  await clock.advance(1000);
  assert.equal(first.readiness().state, 'paused');
  assert.equal(successor.rank.engine.stats().numSteps, 0);
  await clock.untilSettled(first.resume());
  assert.deepEqual((await clock.untilSettled(reading)).choices, expected.choices);
});

test('an abort takes effect in a frozen engine', async () => {
  const { clock, engine, first } = await server();
  const reading = generate(first, generateRequest({ requestId: 'cmpl-x', ...LONG }));
  await clock.advance(100);
  await clock.untilSettled(first.pause('keep'));
  await clock.untilSettled(first.abortRequests(['x']));
  assert.deepEqual(finishes(await clock.untilSettled(reading)), ['abort']);
  await clock.advance(50);
  assert.equal(engine.rank.engine.stats().numUsedBlocks, 0);
});

test('a pause with abort ends what runs; new requests wait, and run after the resume', async () => {
  const { clock, first, second } = await server({ numFrontends: 2 });
  const running = [first, second!].map((frontend) => generate(frontend, generateRequest(LONG)));
  await clock.advance(100);
  await clock.untilSettled(first.pause('abort'));
  assert.deepEqual((await clock.untilSettled(Promise.all(running))).map(finishes), [['abort'], ['abort']]);
  const waiting = generate(second!, generateRequest());
  await clock.advance(10_000);
  await clock.untilSettled(second!.resume());
  assert.deepEqual(finishes(await clock.untilSettled(waiting)), ['length']);
});

test('a new request waits for the resume as long as for an engine, then fails with paused', async () => {
  const { clock, first } = await server();
  await clock.untilSettled(first.pause('wait'));
  const startedAt = clock.monotonic();
  await assert.rejects(
    clock.untilSettled(generate(first, generateRequest())),
    (error) => error instanceof TroupeError && error.code === 'paused',
  );
  assert.equal(clock.monotonic() - startedAt, 30_000);
});

test('a pause that waits is complete when the requests of every frontend have finished, also where their engine died meanwhile', async () => {
  const { cluster, clock, engine, first, second } = await server({ numFrontends: 2 });
  const running = generate(second!, generateRequest({ sampling: { maxTokens: 100 }, ignoreEos: true }));
  await clock.advance(300);
  let isPaused = false;
  const pausing = first.pause('wait').then(() => {
    isPaused = true;
  });
  await clock.advance(100);
  assert.equal(isPaused, false);
  await cluster.kill(engine);
  cluster.startEngine();
  const result = await clock.untilSettled(running);
  await clock.untilSettled(pausing);
  assert.deepEqual([finishes(result), numTokens(result)], [['length'], 100]);
});

test('a frontend that starts later is paused too, and so is one that replaces the only one', async () => {
  const { cluster, clock, frontends, first } = await server();
  await clock.untilSettled(first.pause('abort'));
  const late = cluster.startFrontend('frontend-1');
  await clock.until(() => late.frontend.readiness().state === 'paused');
  await cluster.kill(frontends[0]!);
  await cluster.kill(late);
  const successor = cluster.startFrontend('frontend-0');
  await clock.until(() => successor.frontend.readiness().state !== 'loading');
  assert.equal(successor.frontend.readiness().state, 'paused');
  await clock.untilSettled(successor.frontend.resume());
  assert.equal(successor.frontend.readiness().state, 'ready');
});

test('a drain ends a pause, so that what stood still finishes', async () => {
  const { clock, first } = await server();
  const reading = generate(first, generateRequest({ sampling: { maxTokens: 30 }, ignoreEos: true }));
  await clock.advance(100);
  await clock.untilSettled(first.pause('keep'));
  await clock.untilSettled(first.drain());
  assert.deepEqual(finishes(await clock.untilSettled(reading)), ['length']);
});
