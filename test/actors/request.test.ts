import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createActor } from 'xstate';
import type { EngineRef } from '../../src/actors/directory.ts';
import { type Outcome, type RequestEvent, requestMachine } from '../../src/actors/request.ts';
import { TroupeError } from '../../src/core/errors.ts';

const ENGINE: EngineRef = { id: 'a', epoch: [1, 1], key: 'a.1-1' };
const DIED: RequestEvent = { type: 'engine.lost', isDeath: true, reason: 'killed' };
const DROPPED: RequestEvent = { type: 'engine.lost', isDeath: false, reason: 'dropped' };

/** A request whose ports are answered by the test. */
function newRequest() {
  const outcomes: Outcome[] = [];
  const offers: { attempt: number; signal: AbortSignal; answer: (result: 'accepted' | 'elsewhere' | Error) => void }[] = [];
  const searches: { signal: AbortSignal; answer: (result: EngineRef | Error) => void }[] = [];
  let numAccepted = 0;
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  const pending = <T>(enlist: (answer: (result: T | Error) => void) => void): Promise<T> =>
    new Promise((resolve, reject) => enlist((result) => (result instanceof Error ? reject(result) : resolve(result))));
  const actor = createActor(requestMachine, {
    input: {
      ports: {
        findEngine: (signal) => pending<EngineRef>((answer) => void searches.push({ signal, answer })),
        offer: (_engine, attempt, signal) => pending<'accepted' | 'elsewhere'>((answer) => void offers.push({ attempt, signal, answer })),
        hasOutput: () => false,
        onAccepted: () => void numAccepted++,
        onEnd: (outcome) => void outcomes.push(outcome),
      },
    },
  });
  actor.subscribe({ error: (error) => assert.fail(String(error)) });
  actor.start();
  return {
    outcomes,
    offers,
    searches,
    state: () => actor.getSnapshot().value,
    numAccepted: () => numAccepted,
    send: (event: RequestEvent) => actor.send(event),
    found: async (result: EngineRef | Error = ENGINE) => {
      searches.at(-1)!.answer(result);
      await settled();
    },
    answered: async (result: 'accepted' | 'elsewhere' | Error) => {
      offers.at(-1)!.answer(result);
      await settled();
    },
  };
}

test('queued → routed → prefilling → decoding → finished', async () => {
  const request = newRequest();
  assert.equal(request.state(), 'queued');
  await request.found();
  assert.equal(request.state(), 'routed');
  await request.answered('accepted');
  assert.equal(request.state(), 'prefilling');
  request.send({ type: 'first.token' });
  assert.equal(request.state(), 'decoding');
  request.send({ type: 'done' });
  assert.equal(request.state(), 'finished');
  assert.deepEqual(request.outcomes, [{ type: 'finished' }]);
});

test('tokens may come before the answer, which is then no longer waited for', async () => {
  const request = newRequest();
  await request.found();
  request.send({ type: 'first.token' });
  assert.deepEqual([request.state(), request.numAccepted(), request.offers[0]!.signal.aborted], ['decoding', 1, true]);
  await request.answered('elsewhere');
  assert.equal(request.state(), 'decoding');
});

test('a refusal leads to another engine with the next attempt', async () => {
  const request = newRequest();
  await request.found();
  await request.answered('elsewhere');
  assert.equal(request.state(), 'queued');
  await request.found();
  assert.deepEqual(
    request.offers.map((offer) => offer.attempt),
    [1, 2],
  );
});

test('a request that was accepted once continues, from every state that has an engine', async () => {
  for (const events of [[], [{ type: 'first.token' }]] as RequestEvent[][]) {
    const request = newRequest();
    await request.found();
    await request.answered('accepted');
    for (const event of events) request.send(event);
    request.send(DIED);
    assert.equal(request.state(), 'continuing');
    await request.found();
    request.send(DIED);
    assert.equal(request.state(), 'continuing', 'lost while it was being offered');
    await request.found();
    await request.answered('elsewhere');
    assert.equal(request.state(), 'continuing');
  }
});

test('the third death fails the request, engines that only dropped it do not count', async () => {
  const request = newRequest();
  for (const loss of [DIED, DROPPED, DIED, DROPPED, DIED]) {
    await request.found();
    await request.answered('accepted');
    request.send(loss);
  }
  assert.equal(request.state(), 'failed');
  const [outcome] = request.outcomes;
  assert.ok(outcome?.type === 'failed' && outcome.error.code === 'engine_failed');
});

test('an abort ends it in every state, once, and stops what it waits for', async () => {
  const queued = newRequest();
  queued.send({ type: 'abort' });
  assert.ok(queued.searches[0]!.signal.aborted);
  const routed = newRequest();
  await routed.found();
  routed.send({ type: 'abort' });
  assert.ok(routed.offers[0]!.signal.aborted);
  const prefilling = newRequest();
  await prefilling.found();
  await prefilling.answered('accepted');
  prefilling.send({ type: 'abort' });
  prefilling.send({ type: 'abort' });
  prefilling.send({ type: 'done' });
  for (const request of [queued, routed, prefilling]) {
    assert.equal(request.state(), 'aborted');
    assert.deepEqual(request.outcomes, [{ type: 'aborted' }]);
  }
});

test('errors of the search and of the offer are what the client gets; surprises are internal errors', async () => {
  const search = newRequest();
  const full = new TroupeError('queue_full', 'full');
  await search.found(full);
  assert.deepEqual(search.outcomes, [{ type: 'failed', error: full }]);
  const offer = newRequest();
  await offer.found();
  await offer.answered(new TypeError('a bug'));
  const [outcome] = offer.outcomes;
  assert.ok(outcome?.type === 'failed' && outcome.error.code === 'internal_error' && outcome.error.cause instanceof TypeError);
});
