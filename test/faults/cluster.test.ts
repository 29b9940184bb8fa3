/** Frontends and engines as processes of their own, over a real nats-server: what a killed engine, a killed broker and a drain do to streams. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instants, isAll } from '../support/all-faults.ts';
import { bodies, cluster, runAll, untilIdle, untilServing } from '../support/nats-cluster.ts';
import { runTroupe } from '../support/server.ts';
import { numNearTies } from '../support/token-identity.ts';

for (const afterChunks of instants()) {
  test(`T-2 over NATS, two engines, 64 streams: kill -9 on one after ${afterChunks} tokens a stream changes no token`, async (t) => {
    const { frontend, engines } = await cluster(t, 2);
    const expected = await runAll(frontend);
    const billed = () => Promise.all(['prompt', 'generation'].map((kind) => frontend.metric(`troupe:request_${kind}_tokens_sum`)));
    const before = await billed();
    let killed = 0;
    const faulted = await runAll(frontend, afterChunks, () => {
      killed = engines[0]!.killProcess('engine');
    });
    assert.ok(killed > 0 && engines[0]!.pidOf('engine') !== killed, 'the process is gone');
    const numTies = numNearTies(expected.streams, faulted.streams, bodies);
    t.diagnostic(`${numTies} of ${bodies.length} differ from a near tie on; longest gap ${faulted.longestMs.toFixed(0)} ms`);
    const delivered = [
      faulted.streams.reduce((sum, { promptTokenIds }) => sum + promptTokenIds.length, 0),
      faulted.streams.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0),
    ];
    assert.deepEqual(
      (await billed()).map((sum, i) => sum - before[i]!),
      delivered,
      'T-30: the counters know each token once',
    );
    assert.ok(faulted.longestMs <= 2000, `a stream stood still for ${faulted.longestMs.toFixed(0)} ms`);
    await untilServing(frontend, 2);
    await untilIdle(frontend);
  });
}

for (const seconds of isAll ? [1, 10, 60] : [1, 10]) {
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
