/** Frontends and engines as processes of their own, over a real nats-server: what a killed engine, a killed broker and a drain do to streams. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import { runTroupe, type Server, startServer } from '../support/server.ts';
import { type StreamedChat, streamChat } from '../support/stream-chat.ts';
import { comparableBodies, numNearTies } from '../support/token-identity.ts';

const bodies = comparableBodies(32);

interface Running {
  readonly nats: NatsServer;
  readonly flags: readonly string[];
  readonly engines: readonly Server[];
  readonly frontend: Server;
}

async function cluster(t: TestContext, numEngines: number): Promise<Running> {
  const nats = await startNatsServer(t);
  const flags = ['--nats', nats.url];
  const frontend = startServer(t, ['frontend', ...flags, '--node-name', 'front']);
  const engines = Array.from({ length: numEngines }, (_, i) => engine(t, flags, `node-${i}`));
  await frontend.ready();
  await untilServing(frontend, numEngines);
  return { nats, flags, engines, frontend };
}

const engine = (t: TestContext, flags: readonly string[], name: string): Server =>
  startServer(t, ['engine', ...flags, '--node-name', name, '--max-num-seqs', '64', '--threads', '1']);

async function untilServing(frontend: Server, numEngines: number): Promise<void> {
  while ((await frontend.metric('troupe:max_num_seqs')) !== 64 * numEngines) await frontend.tick(`waiting for ${numEngines} engines`);
}

/** Runs all bodies; `act` is called once, when so many tokens a stream have come. @returns what they said, and the longest gap. */
async function runAll(frontend: Server, afterChunks = Number.POSITIVE_INFINITY, act: () => void = () => {}) {
  let numChunks = 0;
  let longestMs = 0;
  const streams: StreamedChat[] = await Promise.all(
    bodies.map((body) => {
      let last: number | null = null;
      return streamChat(frontend.url, body, () => {
        const now = performance.now();
        if (last !== null) longestMs = Math.max(longestMs, now - last);
        last = now;
        if (++numChunks === afterChunks * bodies.length) act();
      });
    }),
  );
  return { streams, longestMs };
}

async function untilIdle(frontend: Server): Promise<void> {
  for (const gauge of ['troupe:num_requests_running', 'troupe:num_requests_waiting', 'troupe:kv_cache_usage_ratio']) {
    while ((await frontend.metric(gauge)) !== 0) await frontend.tick(`waiting for ${gauge} to return to 0`);
  }
}

for (const afterChunks of [5, 40]) {
  test(`T-2 over NATS, two engines, 64 streams: kill -9 on one after ${afterChunks} tokens a stream changes no token`, async (t) => {
    const { frontend, engines } = await cluster(t, 2);
    const expected = await runAll(frontend);
    let killed = 0;
    const faulted = await runAll(frontend, afterChunks, () => {
      killed = engines[0]!.killProcess('engine');
    });
    assert.ok(killed > 0 && engines[0]!.pidOf('engine') !== killed, 'the process is gone');
    const numTies = numNearTies(expected.streams, faulted.streams, bodies);
    t.diagnostic(`${numTies} of ${bodies.length} differ from a near tie on; longest gap ${faulted.longestMs.toFixed(0)} ms`);
    assert.ok(faulted.longestMs <= 2000, `a stream stood still for ${faulted.longestMs.toFixed(0)} ms`);
    await untilServing(frontend, 2);
    await untilIdle(frontend);
  });
}

for (const seconds of [1, 10]) {
  test(`T-8, one broker, killed and back after ${seconds} s under 64 streams: no process exits, no token is lost`, async (t) => {
    const { nats, frontend, engines } = await cluster(t, 2);
    const expected = await runAll(frontend);
    const pids = [frontend, ...engines].flatMap((server) => server.children().map(({ pid }) => pid));
    let isBack: Promise<void> | null = null;
    const faulted = await runAll(frontend, 20, () => {
      isBack = nats.kill().then(async () => {
        await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
        await nats.restart();
      });
    });
    assert.ok(isBack, 'the broker was killed in the middle');
    await isBack;
    const numTies = numNearTies(expected.streams, faulted.streams, bodies);
    t.diagnostic(`${numTies} of ${bodies.length} differ from a near tie on; longest gap ${faulted.longestMs.toFixed(0)} ms`);
    assert.ok(faulted.longestMs > seconds * 500, 'the streams felt it');
    assert.deepEqual(
      [frontend, ...engines].flatMap((server) => server.children().map(({ pid }) => pid)),
      pids,
      'no process was started anew',
    );
    await untilIdle(frontend);
  });
}

test('T-6 for one engine: drained under 64 streams, what is long moves to its equal; the command says when it is safe to delete', async (t) => {
  const { frontend, flags, engines } = await cluster(t, 2);
  const expected = await runAll(frontend);
  let drained: ReturnType<typeof runTroupe> | null = null;
  const faulted = await runAll(frontend, 5, () => {
    drained = runTroupe(['drain', 'node-0', ...flags]);
  });
  assert.ok(drained, 'the drain began in the middle');
  const { code, stdout } = await (drained as ReturnType<typeof runTroupe>);
  assert.deepEqual([code, stdout], [0, 'node-0-engine-0: draining\nnode-0-engine-0: drained\nnode-0: safe to delete\n']);
  assert.equal(await engines[0]!.exited, 0);
  t.diagnostic(`${numNearTies(expected.streams, faulted.streams, bodies)} of ${bodies.length} differ from a near tie on`);
  assert.equal(await frontend.metric('troupe:max_num_seqs'), 64, 'the other one is left');
  await untilIdle(frontend);
});

test('a name that nobody has is told in one line, exit code 2', async (t) => {
  const { flags } = await cluster(t, 1);
  const { code, stderr } = await runTroupe(['drain', 'nobody', ...flags]);
  assert.deepEqual([code, stderr], [2, 'troupe: Nobody in the cluster is called "nobody".\n']);
});
