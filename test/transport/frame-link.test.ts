/** Frames between two processes of a group: over TCP and over a Transport. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/system-clock.ts';
import { connectForFrames, type FrameLink, FrameReader, listenForFrames } from '../../src/transport/frame-link.ts';
import { LoopbackBus } from '../../src/transport/loopback.ts';
import { callOnTransport, listenOnTransport } from '../../src/transport/transport-frame-link.ts';

interface Pair {
  readonly caller: FrameLink;
  readonly called: FrameLink;
  close(): void;
}

async function tcpPair(): Promise<Pair> {
  let take: (link: FrameLink) => void = () => {};
  const taken = new Promise<FrameLink>((resolve) => {
    take = resolve;
  });
  const server = await listenForFrames('127.0.0.1', 0, systemClock, take);
  const caller = await connectForFrames('127.0.0.1', server.port, systemClock);
  return { caller, called: await taken, close: () => server.close() };
}

async function transportPair(): Promise<Pair> {
  const bus = new LoopbackBus({ clock: systemClock });
  let called: FrameLink | null = null;
  const server = listenOnTransport(bus.connect('node-0'), 'group', systemClock, (link) => {
    called = link;
  });
  const caller = await callOnTransport(bus.connect('node-1'), 'group', 'node-1-1', systemClock);
  return { caller, called: called!, close: () => server.close() };
}

for (const [name, open] of [['TCP', tcpPair] as const, ['a Transport', transportPair] as const]) {
  test(`over ${name} frames arrive whole and in order, both ways, and a close says why`, async (t) => {
    const { caller, called, close } = await open();
    t.after(close);
    const large = Uint8Array.from({ length: 300_000 }, (_, i) => i * 7);
    caller.send(1, Uint8Array.of(1), Uint8Array.of(2, 3)); // before anyone listens
    caller.send(2, large);
    caller.send(3);
    const received: [number, Uint8Array][] = [];
    await new Promise<void>((resolve) =>
      called.onFrame((kind, body) => {
        received.push([kind, Uint8Array.from(body)]);
        if (kind === 3) resolve();
      }),
    );
    assert.deepEqual(received, [
      [1, Uint8Array.of(1, 2, 3)],
      [2, large],
      [3, new Uint8Array()],
    ]);
    const answer = new Promise((resolve) => caller.onFrame((kind) => resolve(kind)));
    called.send(9, Uint8Array.of(5));
    assert.equal(await answer, 9);
    const closed = new Promise((resolve) => caller.onClosed(resolve));
    called.close('the group ends');
    assert.match(String(await closed), /the group ends|closed by the other end/);
  });
}

test('a frame is put together from bytes that come one by one, and nonsense is noticed', () => {
  const frames: number[][] = [];
  const reader = new FrameReader();
  for (const byte of [3, 0, 0, 0, 7, 1, 2, 1, 0, 0, 0, 8]) {
    assert.ok(reader.push(Uint8Array.of(byte), (kind, body) => frames.push([kind, ...body])));
  }
  assert.deepEqual(frames, [[7, 1, 2], [8]]);
  assert.equal(
    reader.push(Uint8Array.of(255, 255, 255, 255), () => {}),
    false,
  );
});

test('a frame that a Transport lost closes the link', async (t) => {
  let isLossy = false;
  const bus = new LoopbackBus({
    clock: systemClock,
    carry: (_from, _to, _subject, deliver) => {
      if (!isLossy) queueMicrotask(deliver);
    },
  });
  let called: FrameLink | null = null;
  const server = listenOnTransport(bus.connect('node-0'), 'group', systemClock, (link) => {
    called = link;
  });
  t.after(() => server.close());
  const caller = await callOnTransport(bus.connect('node-1'), 'group', 'node-1-1', systemClock);
  const closed = new Promise((resolve) => called!.onClosed(resolve));
  isLossy = true;
  caller.send(1);
  isLossy = false;
  caller.send(2);
  assert.match(String(await closed), /is lost/);
  caller.close();
});
