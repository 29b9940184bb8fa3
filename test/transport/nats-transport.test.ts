/** What the NATS adapter promises beyond the contract: bounds, isolation, deaths, and an end that loses nothing. Brokers are real. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { connect } from '@nats-io/transport-node';
import type { NatsTransport } from '../../src/transport/nats-transport.ts';
import type { IncomingMessage } from '../../src/transport/transport.ts';
import { bytes, collect, numberOf, settled, withCode } from '../contract/transport-contract.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { openNats, recordingLog } from '../support/nats-transport.ts';

const goneOf = (transport: NatsTransport): Promise<string> => new Promise((resolve) => transport.onPeerGone(resolve));
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
/** A prime period: a chunk that is missing, or in the wrong place, shows. */
const PERIOD = Buffer.from(Array.from({ length: 251 }, (_, i) => (i * 31) % 251));
const pattern = (numBytes: number): Uint8Array => Buffer.alloc(numBytes, PERIOD);

async function startPeer(t: TestContext, url: string, peerId: string): Promise<ChildProcess> {
  const child = fork('test/support/nats-peer-process.ts', [url, peerId], { execArgv: ['--import', 'tsx'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'message');
  return child;
}

for (const maxPayload of [1_048_576, 65_536]) {
  test(`messages around every border arrive whole where the broker takes ${maxPayload} bytes at once, published, asked and answered`, async (t) => {
    const server = await startNatsServer(t, { config: `max_payload: ${maxPayload}` });
    const [a, b] = [await openNats(t, server.url, 'a'), await openNats(t, server.url, 'b')];
    const sizes = [65_023, 65_024, 65_025, 262_143, 262_144, 262_145, 524_288, 524_289, 1_048_576, 3_000_000];
    b.subscribe('echo', (message) => message.respond(message.data));
    const received = collect(b, 'sizes', sizes.length);
    await settled(a, b);
    for (const size of sizes) a.publish('sizes', pattern(size));
    for (const [index, data] of (await received).entries()) assert.ok(Buffer.from(data).equals(pattern(sizes[index] as number)));
    for (const size of sizes) assert.ok(Buffer.from(await a.request('echo', pattern(size), 10_000)).equals(pattern(size)), `${size} bytes`);
    await assert.rejects(a.request('nobody', pattern(3_000_000), 10_000), withCode('no_responders'));
    assert.equal(a.numIncomplete + b.numIncomplete, 0);
  });
}

test('long messages of several senders, on both connections, do not mix', async (t) => {
  const server = await startNatsServer(t);
  const senders = await Promise.all(['a', 'b', 'c'].map((peerId) => openNats(t, server.url, peerId)));
  const receiver = await openNats(t, server.url, 'receiver');
  const received = Promise.all(['all.control', 'all.frames'].map((subject) => collect(receiver, subject, 15)));
  await settled(receiver, ...senders);
  for (let round = 0; round < 5; round++) {
    for (const [index, sender] of senders.entries()) {
      for (const subject of ['all.control', 'all.frames']) sender.publish(subject, new Uint8Array(600_000 + index).fill(index));
    }
  }
  for (const messages of await received) {
    for (const data of messages) assert.ok(Buffer.from(data).equals(Buffer.alloc(data.byteLength, data.byteLength - 600_000)));
    assert.equal(new Set(messages.map((data) => data.byteLength)).size, 3);
  }
});

test('two clusters on one broker never hear each other', async (t) => {
  const server = await startNatsServer(t);
  const red = await openNats(t, server.url, 'one', { cluster: 'red' });
  const blue = await openNats(t, server.url, 'one', { cluster: 'blue' });
  blue.subscribe('>', ({ subject }) => assert.fail(`heard ${subject}`));
  blue.onPeerGone(() => assert.fail('heard of a death'));
  blue.subscribe('ask', (message) => message.respond(bytes(1)));
  const heard = collect(red, 'news', 1);
  await settled(red);
  red.publish('news', bytes(1));
  red.publish('news.frames', bytes(1));
  await assert.rejects(red.request('ask', bytes(1), 10_000), withCode('no_responders'));
  red.announceGone('two');
  await heard;
  await red.drain();
  await (await openNats(t, server.url, 'another', { cluster: 'blue' })).close; // a round trip of blue's own
});

test('one permission is all that a process needs; one that is missing is said, and nothing else breaks', async (t) => {
  const allowed = 'permissions: { publish: ["troupe.test.>"], subscribe: ["troupe.test.>"] }';
  const server = await startNatsServer(t, {
    config: `authorization { users: [{ user: u, password: p, ${allowed} }, { user: v, password: p, permissions: { subscribe: ["none"] } }] }`,
  });
  const { lines, log } = recordingLog();
  const auth = { user: 'u', password: 'p' };
  const transport = await openNats(t, server.url, 'a', { auth, log });
  transport.subscribe('echo', (message) => message.respond(message.data));
  assert.equal(numberOf(await transport.request('echo', bytes(9), 10_000)), 9);
  assert.deepEqual(lines, []);
  transport.announceService({ name: 'troupe-engine', version: '1.0.0', description: '', startedAt: '', metadata: {} });
  await transport.request('echo', bytes(0), 10_000); // the nine refusals came before this answer
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? '', /^info: The NATS server does not permit \$SRV\.> /);
  const stranger = await openNats(t, server.url, 'b', { auth: { user: 'v', password: 'p' }, log });
  stranger.subscribe('anything', () => {});
  while (!lines.some((line) => /^error: .* subscribe to troupe\.test\.msg\.anything: allow troupe\.CLUSTER\.>/.test(line))) await tick();
  assert.equal(numberOf(await transport.request('echo', bytes(8), 10_000)), 8);
});

test('`nats micro ls` finds the process: it answers PING, INFO and STATS', async (t) => {
  const server = await startNatsServer(t);
  const transport = await openNats(t, server.url, 'engine-0.17');
  transport.announceService({
    name: 'troupe-engine',
    version: '0.1.0',
    description: 'An engine group',
    startedAt: '2026-01-01T00:00:00.000Z',
    metadata: { role: 'engine', model: 'mini', epoch: '17-ab' },
  });
  const nc = await connect({ servers: server.url });
  t.after(() => nc.close());
  const identity = {
    name: 'troupe-engine',
    id: 'engine-0_17',
    version: '0.1.0',
    metadata: { cluster: 'test', role: 'engine', model: 'mini', epoch: '17-ab' },
  };
  const ask = async (subject: string): Promise<unknown> => (await nc.request(subject, '', { timeout: 10_000 })).json();
  await settled(transport);
  assert.deepEqual(await ask('$SRV.PING'), { ...identity, type: 'io.nats.micro.v1.ping_response' });
  assert.deepEqual(await ask('$SRV.INFO.troupe-engine'), {
    ...identity,
    type: 'io.nats.micro.v1.info_response',
    description: 'An engine group',
    endpoints: [],
  });
  assert.deepEqual(await ask('$SRV.STATS.troupe-engine.engine-0_17'), {
    ...identity,
    type: 'io.nats.micro.v1.stats_response',
    started: '2026-01-01T00:00:00.000Z',
    endpoints: [],
  });
});

test('an obituary tells all others at once; a wrong one silences nobody', async (t) => {
  const server = await startNatsServer(t);
  const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((peerId) => openNats(t, server.url, peerId)));
  const gone = goneOf(b!);
  c!.onPeerGone(() => assert.fail('it was told of its own death'));
  a!.announceGone('c');
  assert.equal(await gone, 'c');
  c!.subscribe('echo', (message) => message.respond(message.data));
  await settled(c!, b!);
  assert.equal(numberOf(await b!.request('echo', bytes(4), 10_000)), 4);
});

const withSystem = {
  config: [
    'accounts: { APP: { users: [{ user: app, password: p }] }, SYS: { users: [{ user: sys, password: p }] } }',
    'no_auth_user: app',
    'system_account: SYS',
  ].join('\n'),
};
const system = { systemAuth: { user: 'sys', password: 'p' } };

test('with a system user, kill -9 of a process is known without anybody telling', async (t) => {
  const server = await startNatsServer(t, withSystem);
  const watcher = await openNats(t, server.url, 'watcher', system);
  const gone = goneOf(watcher);
  const child = await startPeer(t, server.url, 'child.1');
  assert.equal(numberOf(await watcher.request('echo.child.1', bytes(1), 10_000)), 1);
  child.kill('SIGKILL');
  assert.equal(await gone, 'child.1');
  await assert.rejects(watcher.request('echo.child.1', bytes(1), 10_000), withCode('no_responders'));
});

test('a broker that stops tells of no deaths', async (t) => {
  const server = await startNatsServer(t, withSystem);
  const watcher = await openNats(t, server.url, 'watcher', system);
  await openNats(t, server.url, 'other');
  watcher.onPeerGone((peerId) => assert.fail(`${peerId} is well`));
  const lost = new Promise<void>((resolve) => watcher.onSelfDisconnected(resolve));
  const back = new Promise<void>((resolve) => watcher.onSelfReconnected(resolve));
  server.signal('SIGTERM');
  await lost;
  await server.restart();
  await back;
});

test('a request to a process that has just unsubscribed is refused, not ignored', async (t) => {
  const server = await startNatsServer(t);
  const [a, b] = [await openNats(t, server.url, 'a'), await openNats(t, server.url, 'b')];
  for (let round = 0; round < 200; round++) {
    const subscription = b.subscribe('ask', (message) => message.respond(bytes(1)));
    await settled(a, b);
    const answer = a.request('ask', bytes(1), 10_000); // on its way together with the end of the subscription
    await null;
    subscription.unsubscribe();
    const error = await answer.catch((reason: unknown) => reason);
    assert.ok(error instanceof Uint8Array || withCode('no_responders')(error), String(error));
  }
});

test('200 processes that leave while they are asked lose no request: what they took is answered', async (t) => {
  const server = await startNatsServer(t);
  const asker = await openNats(t, server.url, 'asker');
  let worker = await openNats(t, server.url, 'worker.0');
  const waiting: IncomingMessage[] = [];
  const serve = (transport: NatsTransport, subject: string) => transport.subscribe(subject, (message) => void waiting.push(message));
  serve(worker, 'work.0');
  let numAnswered = 0;
  for (let round = 1; round <= 200; round++) {
    await settled(asker, worker);
    const answers = Array.from({ length: 5 }, (_, i) => asker.request(`work.${round - 1}`, bytes(i), 10_000));
    while (waiting.length < 5) await tick();
    const leaving = worker.drain();
    const next = await openNats(t, server.url, `worker.${round}`);
    serve(next, `work.${round}`);
    for (const message of waiting.splice(0)) message.respond(message.data); // only now, while it leaves
    numAnswered += (await Promise.all(answers)).length;
    await leaving;
    worker = next;
  }
  assert.equal(numAnswered, 1000);
});

test('a handler that never answers holds up the end only as long as it may', async (t) => {
  const server = await startNatsServer(t);
  const [a, b] = [await openNats(t, server.url, 'a'), await openNats(t, server.url, 'b', { drainTimeoutMs: 50 })];
  const reached = new Promise<void>((resolve) => b.subscribe('silence', () => resolve()));
  await settled(a, b);
  const answer = assert.rejects(a.request('silence', bytes(1), 500), withCode('timeout'));
  await reached;
  await b.drain();
  await answer;
});

test('an error in a handler ends the process, as anywhere else, and does not make the connection deaf', async (t) => {
  const server = await startNatsServer(t);
  const transport = await openNats(t, server.url, 'a');
  const thrown = new Promise<unknown>((resolve) => {
    const [before] = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => {
      if (before) process.on('uncaughtException', before);
      resolve(error);
    });
  });
  const received = collect(transport, 'news', 2);
  transport.subscribe('news', (message) => {
    if (numberOf(message.data) === 1) throw new Error('a bug');
  });
  transport.publish('news', bytes(1));
  assert.equal(String(await thrown), 'Error: a bug');
  transport.publish('news', bytes(2));
  assert.deepEqual((await received).map(numberOf), [1, 2]);
});
