/** T-9 and T-5: what is alive and cannot be heard. Nothing tells of it; no request may fail, and no token may change. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isAll } from '../support/all-faults.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { bodies, cluster, runAll, untilIdle, untilServing } from '../support/nats-cluster.ts';
import { Network } from '../support/network.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { numNearTies } from '../support/token-identity.ts';

const after = (ms: number, act: () => void): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(() => {
      act();
      resolve();
    }, ms);
  });

for (const seconds of isAll ? [5, 15, 30] : [5]) {
  test(`T-9, an engine cut off from the broker for ${seconds} s (link down): its streams go on elsewhere, and it is taken back`, async (t) => {
    const running = await cluster(t, 2, { network: new Network(t) });
    const { frontend, nodes } = running;
    const expected = await runAll(frontend);
    let healed: Promise<void> | null = null;
    const faulted = await runAll(frontend, 20, () => {
      nodes[0]!.cut();
      healed = after(seconds * 1000, () => nodes[0]!.heal());
    });
    assert.ok(healed, 'the link was down in the middle');
    const numTies = numNearTies(expected.streams, faulted.streams, bodies);
    t.diagnostic(`${numTies} of ${bodies.length} differ from a near tie on; longest gap ${faulted.longestMs.toFixed(0)} ms`);
    await healed;
    await untilServing(frontend, 2);
    await untilIdle(frontend);
  });
}

for (const [what, directions] of [
  ['in both directions', ['up', 'down']],
  ['towards the broker only', ['up']],
  ['from the broker only', ['down']],
] as const) {
  test(`T-9, the frontend hears nothing of the broker for 5 s, ${what}: no request fails, no token is lost`, async (t) => {
    const running = await cluster(t, 2, { proxied: (nats) => FaultProxy.start(t, '127.0.0.1', nats.port) });
    const { frontend, proxy } = running;
    const expected = await runAll(frontend);
    let released: Promise<void> | null = null;
    const faulted = await runAll(frontend, 20, () => {
      proxy!.hold(...directions);
      released = after(5000, () => proxy!.release());
    });
    await released;
    assert.ok(proxy!.numFaults > 0, 'something was held');
    const numTies = numNearTies(expected.streams, faulted.streams, bodies);
    t.diagnostic(`${numTies} of ${bodies.length} differ from a near tie on; longest gap ${faulted.longestMs.toFixed(0)} ms`);
    await untilServing(frontend, 2);
    await untilIdle(frontend);
  });
}

test('T-9, a wire with 5 ms of delay that loses a fifth of everything once: slower, and the same', async (t) => {
  const random = seededRandom(9);
  const faults = { delayMs: 5, lossRate: 0.2, random: () => random.below(1000) / 1000 };
  const running = await cluster(t, 2, { proxied: (nats) => FaultProxy.start(t, '127.0.0.1', nats.port, faults) });
  const { frontend, proxy } = running;
  const streams = await runAll(frontend);
  const again = await runAll(frontend);
  assert.ok(proxy!.numFaults > 50, `${proxy!.numFaults} pieces were lost`);
  t.diagnostic(`${numNearTies(streams.streams, again.streams, bodies)} of ${bodies.length} differ from a near tie on`);
  assert.deepEqual(await frontend.metric('troupe:requests_continued_total'), 0, 'nobody was taken for dead');
});

test('T-5, an engine is stopped (SIGSTOP) for 10 s: noticed within 3 s, its streams go on; awake again it says nothing stale', async (t) => {
  const { frontend, engines } = await cluster(t, 2);
  const expected = await runAll(frontend);
  const pid = engines[0]!.pidOf('engine')!;
  let awake: Promise<void> | null = null;
  const faulted = await runAll(frontend, 20, () => {
    process.kill(pid, 'SIGSTOP');
    awake = after(10_000, () => {
      assert.match(readFileSync(`/proc/${pid}/stat`, 'utf8'), /\) T /, 'it stands still');
      process.kill(pid, 'SIGCONT');
    });
  });
  assert.ok(awake, 'it was stopped in the middle');
  const numTies = numNearTies(expected.streams, faulted.streams, bodies);
  t.diagnostic(`${numTies} of ${bodies.length} differ from a near tie on; longest gap ${faulted.longestMs.toFixed(0)} ms`);
  // Detection within 3 s, then a second for the prefixes.
  assert.ok(faulted.longestMs <= 4000, `a stream stood still for ${faulted.longestMs.toFixed(0)} ms`);
  await awake;
  const wokeAt = performance.now();
  await untilServing(frontend, 2);
  assert.ok(performance.now() - wokeAt <= 5000, 'it is back within 5 s');
  await untilIdle(frontend);
});
