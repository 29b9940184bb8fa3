import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createActor } from 'xstate';
import { type FrontendEvent, frontendMachine, readinessOf } from '../../src/actors/frontend-lifecycle.ts';

const serving: FrontendEvent = { type: 'engines.changed', isServing: true, lastLoss: null };
const gone = (lastLoss: string | null): FrontendEvent => ({ type: 'engines.changed', isServing: false, lastLoss });
const drain: FrontendEvent = { type: 'drain' };
const close: FrontendEvent = { type: 'close' };
const fail: FrontendEvent = { type: 'fail', reason: 'The engine died 6 times.' };

/** The machine's state, and what it tells the HTTP edge, after these events. */
function after(...events: readonly FrontendEvent[]) {
  const actor = createActor(frontendMachine).start();
  for (const event of events) actor.send(event);
  const snapshot = actor.getSnapshot();
  return { state: snapshot.value, readiness: readinessOf(snapshot) };
}

test('a frontend is loading until an engine serves, however many load', () => {
  assert.deepEqual(after().readiness, { state: 'loading' });
  assert.deepEqual(after(gone(null), gone('engine engine-0 started again')).readiness, { state: 'loading' });
  assert.deepEqual(after(serving).readiness, { state: 'ready' });
});

test('without its engines it recovers, saying why the last one went, and is ready again with the next', () => {
  assert.deepEqual(after(serving, gone('the process of engine engine-0 is gone')).readiness, {
    state: 'recovering',
    reason: 'the process of engine engine-0 is gone',
  });
  assert.deepEqual(after(serving, gone('first'), gone('second')).readiness, { state: 'recovering', reason: 'second' });
  assert.deepEqual(after(serving, gone(null)).readiness, { state: 'recovering', reason: 'No engine serves at the moment.' });
  assert.equal(after(serving, gone('first'), serving).state, 'ready');
  assert.equal(after(serving, serving).state, 'ready');
});

test('it drains from every state in which it lives, and engines do not bring it back', () => {
  for (const before of [[], [serving], [serving, gone('lost')]]) {
    assert.equal(after(...before, drain).state, 'draining');
    assert.equal(after(...before, drain, serving).state, 'draining');
  }
});

test('a failure holds its reason through engines that come and a drain that follows or went before', () => {
  const failed = { state: 'failed', reason: 'The engine died 6 times.' };
  assert.deepEqual(after(fail).readiness, failed);
  assert.deepEqual(after(serving, fail, serving).readiness, failed);
  assert.deepEqual(after(serving, fail, drain).readiness, failed);
  assert.deepEqual(after(serving, drain, fail).readiness, failed);
});

test('closed is the end: clients read a shutdown, and nothing leads out', () => {
  for (const before of [[], [serving], [serving, drain], [fail]]) {
    assert.equal(after(...before, close).state, 'closed');
    assert.equal(after(...before, close, serving).state, 'closed');
    assert.deepEqual(after(...before, close).readiness, { state: 'draining', reason: 'The server is shutting down.' });
  }
});
