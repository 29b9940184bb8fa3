/** Brokers that die, hang, and come back. The faults are real: kill -9 and SIGSTOP on nats-server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { NatsTransport } from '../../src/transport/nats-transport.ts';
import { bytes, collect, numberOf, settled, withCode } from '../contract/transport-contract.ts';
import { startNatsCluster, startNatsServer } from '../support/nats-server.ts';
import { openNats, recordingLog } from '../support/nats-transport.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const lostOf = (transport: NatsTransport): Promise<void> => new Promise((resolve) => transport.onSelfDisconnected(resolve));
const backOf = (transport: NatsTransport): Promise<void> => new Promise((resolve) => transport.onSelfReconnected(resolve));

/** Both connections are known to be lost. Before that, what is published on the second goes into the dead one. */
async function bothLost(lines: readonly string[]): Promise<void> {
  while (lines.filter((line) => /is lost/.test(line)).length < 2) await tick();
}

test('a broker that is killed and comes back: told, subscriptions live on, one log line each way', async (t) => {
  const server = await startNatsServer(t);
  const { lines, log } = recordingLog();
  const [a, b] = [await openNats(t, server.url, 'a', { log }), await openNats(t, server.url, 'b')];
  b.subscribe('echo', (message) => message.respond(message.data));
  await settled(a, b);
  for (let round = 0; round < 3; round++) {
    const [lost, back] = [Promise.all([lostOf(a), lostOf(b)]), Promise.all([backOf(a), backOf(b)])];
    await server.kill();
    await lost;
    assert.equal(a.isConnected, false);
    await server.restart();
    await back;
    assert.equal(a.isConnected, true);
    assert.equal(numberOf(await a.request('echo', bytes(round), 10_000)), round);
  }
  assert.equal(lines.filter((line) => /is lost/.test(line)).length, 6); // both connections, three times
  assert.equal(lines.filter((line) => /Connected again/.test(line)).length, 6);
});

test('what is published without a broker is held in order up to the bound, the rest is dropped and counted; memory does not grow', async (t) => {
  const server = await startNatsServer(t);
  const { lines, log } = recordingLog();
  const a = await openNats(t, server.url, 'a', { maxHeldBytes: 1_000_000, log });
  const received: number[] = [];
  a.subscribe('numbers', ({ data }) => received.push(numberOf(data)));
  await settled(a);
  const back = backOf(a);
  await server.kill();
  await bothLost(lines);
  const numMessages = 20_000;
  let maxPendingBytes = 0;
  for (let i = 0; i < numMessages; i++) {
    a.publish('numbers', Buffer.concat([bytes(i), Buffer.alloc(1000)]));
    if (i % 1000 === 0) await tick();
    maxPendingBytes = Math.max(maxPendingBytes, a.pendingBytes);
  }
  assert.ok(maxPendingBytes <= 1_000_000);
  const numHeld = numMessages - a.numDropped;
  assert.ok(numHeld > 900 && numHeld < 1000, `${numHeld} held`);
  assert.equal(lines.filter((line) => /dropped/.test(line)).length, 1);
  await server.restart();
  await back;
  while (received.length < numHeld) await tick();
  assert.deepEqual(
    received,
    Array.from({ length: numHeld }, (_, i) => i),
  );
});

test('a request made without a broker waits for it as long as its time allows', async (t) => {
  const server = await startNatsServer(t);
  const { lines, log } = recordingLog();
  const a = await openNats(t, server.url, 'a', { log });
  let numAsked = 0;
  a.subscribe('echo', (message) => {
    numAsked++;
    message.respond(message.data);
  });
  const back = backOf(a);
  await server.kill();
  await bothLost(lines);
  const patient = a.request('echo', bytes(7), 60_000);
  await assert.rejects(a.request('echo', bytes(8), 20), withCode('timeout'));
  await server.restart();
  await back;
  assert.equal(numberOf(await patient), 7);
  assert.equal(numAsked, 1, 'the one that nobody waits for any more was not sent');
});

test('a broker that hangs (SIGSTOP): a publisher that goes on is bounded, and nothing else suffers', async (t) => {
  const server = await startNatsServer(t);
  const limits = { maxMessageBytes: 1_000_000, maxPendingBytes: 8_000_000 };
  const [a, b] = [await openNats(t, server.url, 'a', limits), await openNats(t, server.url, 'b', limits)];
  const received: number[] = [];
  b.subscribe('flood', ({ data }) => received.push(numberOf(data)));
  await settled(a, b);
  server.signal('SIGSTOP');
  t.after(() => server.signal('SIGCONT'));
  collectGarbage();
  const before = process.memoryUsage().arrayBuffers;
  const data = Buffer.alloc(200_000);
  for (let i = 0; i < 2000; i++) {
    data.writeDoubleLE(i);
    a.publish('flood', Buffer.from(data));
    assert.ok(a.pendingBytes <= 8_000_000);
    if (i % 50 === 0) await tick();
  }
  assert.ok(a.numDropped > 1900, `${a.numDropped} of 2000 dropped`);
  collectGarbage();
  const keptBytes = process.memoryUsage().arrayBuffers - before;
  assert.ok(keptBytes < 40_000_000, `${keptBytes} bytes are kept of the 400 MB that were published`);
  server.signal('SIGCONT');
  const numSent = 2000 - a.numDropped;
  while (received.length < numSent) await tick();
  assert.deepEqual(
    received,
    Array.from({ length: numSent }, (_, i) => i),
  );
  const end = collect(b, 'flood', 1);
  await settled(a, b);
  a.publish('flood', bytes(-1));
  assert.deepEqual((await end).map(numberOf), [-1], 'it takes messages again');
});

test('closing and draining without a broker ends at once', async (t) => {
  const server = await startNatsServer(t);
  const [a, b] = [await openNats(t, server.url, 'a'), await openNats(t, server.url, 'b')];
  const lost = [lostOf(a), lostOf(b)];
  await server.kill();
  await Promise.all(lost);
  const unanswered = assert.rejects(a.request('nobody', bytes(1), 3_600_000), withCode('closed'));
  await Promise.all([a.close(), b.drain()]);
  await unanswered;
});

test('3 servers: kill -9 of the one that is connected to; messages flow again through the others, subscriptions live on', async (t) => {
  const servers = await startNatsCluster(t, 3);
  const urls = servers.map(({ url }) => url);
  const [a, b] = [await openNats(t, urls, 'a'), await openNats(t, [urls[2] ?? ''], 'b')];
  const received: number[] = [];
  b.subscribe('numbers', ({ data }) => received.push(numberOf(data)));
  b.subscribe('echo', (message) => message.respond(message.data));
  await settled(a, b);
  // b knows one server by name and learns of the others from it; it loses exactly that one.
  const [lost, back] = [lostOf(b), backOf(b)];
  await servers[2]?.kill();
  await lost;
  await back;
  while (!a.isConnected) await tick();
  await settled(a, b);
  a.publish('numbers', bytes(1));
  assert.equal(numberOf(await a.request('echo', bytes(5), 10_000)), 5);
  while (received.length < 1) await tick();
  assert.deepEqual(received, [1]);
});
