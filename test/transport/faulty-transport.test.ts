import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/system-clock.ts';
import { type Faults, FaultyTransport } from '../../src/transport/faulty-transport.ts';
import { LoopbackBus } from '../../src/transport/loopback.ts';
import { bytes, numberOf, transportContract, withCode } from '../contract/transport-contract.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const randomFrom = (seed: number) => {
  const random = seededRandom(seed);
  return () => random.below(2 ** 30) / 2 ** 30;
};

transportContract('FaultyTransport without faults', async (t) => {
  const bus = new LoopbackBus({ clock: systemClock });
  const a = new FaultyTransport(bus.connect('a'), { random: randomFrom(1), clock: systemClock });
  const b = bus.connect('b');
  t.after(() => Promise.all([a.close(), b.close()]));
  return { a, b, cutOff: { disconnect: () => a.cut(), reconnect: () => a.restore() } };
});

function makePair(faults: Partial<Faults>) {
  const clock = new VirtualClock();
  const bus = new LoopbackBus({ clock });
  const a = new FaultyTransport(bus.connect('a'), { random: randomFrom(7), clock, ...faults });
  const b = bus.connect('b');
  return { clock, a, b };
}

test('messages are lost and duplicated at the given rates, and the counters say how many', async () => {
  const { clock, a, b } = makePair({ lossRate: 0.1, duplicateRate: 0.2 });
  const received: number[] = [];
  b.subscribe('s', ({ data }) => received.push(numberOf(data)));
  for (let i = 0; i < 10_000; i++) a.publish('s', bytes(i));
  await clock.advance(0);
  assert.ok(Math.abs(a.numLost - 1000) < 100, `${a.numLost} lost`);
  assert.ok(Math.abs(a.numDuplicated - 1800) < 150, `${a.numDuplicated} duplicated`);
  assert.equal(received.length, 10_000 - a.numLost + a.numDuplicated);
  assert.deepEqual(
    received,
    [...received].sort((x, y) => x - y),
  );
});

test('delays let subjects overtake each other, but each keeps its order', async () => {
  const { clock, a, b } = makePair({ delayMs: 50 });
  const received: { subject: string; value: number }[] = [];
  b.subscribe('s.*', ({ subject, data }) => received.push({ subject, value: numberOf(data) }));
  for (let i = 0; i < 100; i++) {
    a.publish(`s.${i % 4}`, bytes(i));
    await clock.advance(1);
  }
  await clock.advance(50);
  assert.equal(received.length, 100);
  for (let lane = 0; lane < 4; lane++) {
    const values = received.filter(({ subject }) => subject === `s.${lane}`).map(({ value }) => value);
    assert.deepEqual(
      values,
      Array.from({ length: 25 }, (_, i) => 4 * i + lane),
    );
  }
  assert.notDeepEqual(
    received.map(({ value }) => value),
    [...Array(100).keys()],
  );
  assert.equal(clock.numTimers, 0);
});

test('a request whose way or answer is lost times out after its time', async () => {
  const { clock, a, b } = makePair({ lossRate: 1 });
  b.subscribe('ask', (message) => message.respond(message.data));
  const lostOnTheWay = assert.rejects(a.request('ask', bytes(1), 300), withCode('timeout'));
  a.subscribe('answer', (message) => message.respond(message.data));
  const answerLost = assert.rejects(b.request('answer', bytes(1), 300), withCode('timeout'));
  await clock.advance(300);
  await Promise.all([lostOnTheWay, answerLost]);
});

test('a duplicated request is answered once', async () => {
  const { clock, a, b } = makePair({ duplicateRate: 1 });
  let numAsked = 0;
  b.subscribe('ask', (message) => {
    numAsked++;
    message.respond(bytes(numAsked));
  });
  const answer = a.request('ask', bytes(0), 300);
  await clock.advance(0);
  assert.equal(numberOf(await answer), 1);
  assert.equal(numAsked, 2);
});

test('after a cut nothing goes out or comes in until it is restored; a silent cut is not told', async () => {
  const { clock, a, b } = makePair({});
  const received: string[] = [];
  const told: string[] = [];
  a.onSelfDisconnected(() => told.push('disconnected'));
  a.onSelfReconnected(() => told.push('reconnected'));
  a.subscribe('to.a', () => received.push('a'));
  b.subscribe('to.b', () => received.push('b'));
  a.cut({ isSilent: true });
  a.publish('to.b', bytes(1));
  b.publish('to.a', bytes(1));
  const unanswered = assert.rejects(a.request('to.b', bytes(1), 100), withCode('timeout'));
  await clock.advance(100);
  await unanswered;
  assert.deepEqual([received, told], [[], []]);
  a.restore();
  a.publish('to.b', bytes(1));
  b.publish('to.a', bytes(1));
  await clock.advance(0);
  assert.deepEqual([received, told], [['b', 'a'], []]);
});
