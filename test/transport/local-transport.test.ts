import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { StartupError } from '../../src/core/errors.ts';
import { systemClock } from '../../src/system-clock.ts';
import { LocalTransport, type LocalTransportOptions } from '../../src/transport/local-transport.ts';
import { bytes, collect, numberOf, settled, transportContract, withCode } from '../contract/transport-contract.ts';

async function makeDirectory(t: TestContext): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), 'troupe-'));
  t.after(() => rm(parent, { recursive: true, force: true }));
  return join(parent, 'bus');
}

async function open(
  t: TestContext,
  directory: string,
  peerId: string,
  options: Partial<LocalTransportOptions> = {},
): Promise<LocalTransport> {
  const transport = await LocalTransport.open({ directory, peerId, clock: systemClock, ...options });
  t.after(() => transport.close());
  return transport;
}

transportContract('LocalTransport', async (t) => {
  const directory = await makeDirectory(t);
  return { a: await open(t, directory, 'a'), b: await open(t, directory, 'b') };
});

// The side that comes second knocks instead of connecting.
transportContract('LocalTransport, the other way round,', async (t) => {
  const directory = await makeDirectory(t);
  return { a: await open(t, directory, 'z'), b: await open(t, directory, 'b') };
});

/** A process of its own on the transport, see peer-process.ts. */
async function startPeer(t: TestContext, directory: string, peerId: string): Promise<ChildProcess> {
  const child = fork('test/support/peer-process.ts', [directory, peerId], { execArgv: ['--import', 'tsx'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'message');
  return child;
}

const goneOf = (transport: LocalTransport): Promise<string> => new Promise((resolve) => transport.onPeerGone(resolve));

test('processes find each other, whichever was there first, and talk', async (t) => {
  const directory = await makeDirectory(t);
  const early = await open(t, directory, 'm-early');
  await Promise.all([startPeer(t, directory, 'a-child'), startPeer(t, directory, 'z-child')]);
  const late = await open(t, directory, 'm-late');
  for (const transport of [early, late]) {
    for (const peer of ['a-child', 'z-child']) {
      const answer = await transport.request(`echo.${peer}`, bytes(41), 10_000);
      assert.equal(numberOf(answer), 42);
    }
  }
  assert.deepEqual(late.peers().sort(), ['a-child', 'm-early', 'z-child']);
});

test('kill -9 on a process is noticed at once: onPeerGone, and its open requests fail', async (t) => {
  const directory = await makeDirectory(t);
  const transport = await open(t, directory, 'parent');
  const child = await startPeer(t, directory, 'child');
  const gone = goneOf(transport);
  const reached = collect(transport, 'reached', 1);
  await settled(transport); // nothing to settle but the subscription in this process
  const unanswered = assert.rejects(transport.request('never.child', bytes(1), 3_600_000), withCode('timeout'));
  await reached; // the child works on it
  child.kill('SIGKILL');
  assert.equal(await gone, 'child');
  await unanswered;
  assert.deepEqual(transport.peers(), []);
  await assert.rejects(transport.request('echo.child', bytes(1), 3_600_000), withCode('no_responders'));
});

test('the socket file of a dead process is removed, and its name can be used again', async (t) => {
  const directory = await makeDirectory(t);
  const child = await startPeer(t, directory, 'child');
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.deepEqual(await readdir(directory), ['child.sock']);
  await open(t, directory, 'other');
  assert.deepEqual(await readdir(directory), ['other.sock']);

  const second = await startPeer(t, directory, 'twin');
  second.kill('SIGKILL');
  await once(second, 'exit');
  const twin = await open(t, directory, 'twin');
  assert.deepEqual(twin.peers(), ['other']);
});

test('two processes cannot have the same peer id', async (t) => {
  const directory = await makeDirectory(t);
  await open(t, directory, 'one');
  await assert.rejects(LocalTransport.open({ directory, peerId: 'one', clock: systemClock }), StartupError);
  await assert.rejects(LocalTransport.open({ directory, peerId: '../one', clock: systemClock }), /not a peer id/);
});

test('only the owner may enter the directory', async (t) => {
  const directory = await makeDirectory(t);
  await open(t, directory, 'one');
  assert.equal((await stat(directory)).mode & 0o777, 0o700);

  const loose = join(directory, 'loose');
  await mkdir(loose);
  await chmod(loose, 0o755);
  await open(t, loose, 'one');
  assert.equal((await stat(loose)).mode & 0o777, 0o700);
});

test('a directory whose socket paths would be too long is refused, with the length', async (t) => {
  const directory = join(await makeDirectory(t), 'x'.repeat(100));
  await assert.rejects(LocalTransport.open({ directory, peerId: 'one', clock: systemClock }), /has 1\d\d bytes.*takes 103.*shorter/);
});

test('a peer that does not read is dropped, and found again when it reads', async (t) => {
  const directory = await makeDirectory(t);
  const child = await startPeer(t, directory, 'child');
  const transport = await open(t, directory, 'parent', { maxQueuedBytes: 1_000_000, pollMs: 10 });
  const gone = goneOf(transport);
  child.kill('SIGSTOP');
  const data = new Uint8Array(100_000);
  for (let i = 0; i < 30; i++) transport.publish('sink.child', data); // the kernel's own buffers take some
  assert.equal(await gone, 'child');
  child.kill('SIGCONT');
  while (!transport.peers().includes('child')) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(numberOf(await transport.request('echo.child', bytes(1), 10_000)), 2);
});

test('bytes that are not the protocol end that connection and nothing else', async (t) => {
  const directory = await makeDirectory(t);
  const transport = await open(t, directory, 'one');
  for (const garbage of ['GET / HTTP/1.1\r\n\r\n', '\x08\0\0\0\x01\0\0\0\0\0\0{', Buffer.alloc(64)]) {
    const socket = connect(join(directory, 'one.sock'));
    socket.on('error', () => {});
    socket.write(garbage);
    await once(socket, 'close');
  }
  assert.deepEqual(transport.peers(), []);
  const other = await open(t, directory, 'two');
  assert.deepEqual(other.peers(), ['one']);
});

test('closing removes the socket file', async (t) => {
  const directory = await makeDirectory(t);
  const transport = await open(t, directory, 'one');
  await transport.close();
  assert.deepEqual(await readdir(directory), []);
});

test('many processes that start together are all connected', async (t) => {
  const directory = await makeDirectory(t);
  const peerIds = Array.from({ length: 12 }, (_, i) => `peer-${i}`);
  const transports = await Promise.all(peerIds.map((peerId) => open(t, directory, peerId)));
  const isComplete = (): boolean => transports.every((transport) => transport.peers().length === peerIds.length - 1);
  while (!isComplete()) await new Promise((resolve) => setImmediate(resolve));
  const received = transports.map((transport) => collect(transport, 'hello', peerIds.length));
  await settled(...transports);
  for (const [index, transport] of transports.entries()) transport.publish('hello', bytes(index));
  for (const each of received)
    assert.deepEqual(
      (await each).map(numberOf).sort((x, y) => x - y),
      [...peerIds.keys()],
    );
});
