import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/system-clock.ts';
import { LoopbackBus } from '../../src/transport/loopback.ts';
import { bytes, numberOf, transportContract, withCode } from '../contract/transport-contract.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

transportContract('LoopbackTransport', async (t) => {
  const bus = new LoopbackBus({ clock: systemClock });
  const a = bus.connect('a');
  const b = bus.connect('b');
  t.after(() => Promise.all([a.close(), b.close()]));
  return { a, b, cutOff: { disconnect: () => bus.disconnect('a'), reconnect: () => bus.reconnect('a') } };
});

test('with a delay, messages arrive when the clock says so, in order', async () => {
  const clock = new VirtualClock();
  const bus = new LoopbackBus({ clock, delayMs: 10 });
  const a = bus.connect('a');
  const b = bus.connect('b');
  const received: number[] = [];
  b.subscribe('late', ({ data }) => received.push(numberOf(data)));
  a.publish('late', bytes(1));
  a.publish('late', bytes(2));
  await clock.advance(9);
  assert.deepEqual(received, []);
  await clock.advance(1);
  assert.deepEqual(received, [1, 2]);
});

test('a request on the virtual clock times out after exactly its time', async () => {
  const clock = new VirtualClock();
  const bus = new LoopbackBus({ clock });
  const a = bus.connect('a');
  bus.connect('b').subscribe('silence', () => {});
  let outcome: unknown = null;
  a.request('silence', bytes(1), 500).catch((error) => {
    outcome = error;
  });
  await clock.advance(499);
  assert.equal(outcome, null);
  await clock.advance(1);
  assert.ok(withCode('timeout')(outcome));
  assert.equal(clock.numTimers, 0);
});

test('a killed peer hears and says nothing more, and the others are told', async () => {
  const clock = new VirtualClock();
  const bus = new LoopbackBus({ clock });
  const a = bus.connect('a');
  const b = bus.connect('b');
  const gone: string[] = [];
  const heard: string[] = [];
  a.onPeerGone((peerId) => gone.push(peerId));
  a.subscribe('from.b', () => heard.push('a'));
  b.subscribe('from.a', () => heard.push('b'));
  const unanswered = assert.rejects(a.request('from.a', bytes(1), 1000), withCode('timeout'));
  await clock.advance(0);
  bus.kill('b');
  b.publish('from.b', bytes(1));
  a.publish('from.a', bytes(1));
  await unanswered;
  assert.deepEqual(heard, ['b']);
  assert.deepEqual(gone, ['b']);
  assert.equal(bus.connect('b').peerId, 'b');
});
