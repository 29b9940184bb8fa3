/** What a drain does with long generations: they move to an equal engine, with the same text, or stay where there is none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cluster } from '../support/cluster.ts';
import { generate, generateRequest } from '../support/generate.ts';

const requests = Array.from({ length: 6 }, (_, i) =>
  generateRequest({
    requestId: `request-${i}`,
    prompt: { type: 'tokens', tokenIds: [5 + i, 9, 11] },
    n: i % 3 === 0 ? 2 : 1,
    sampling: { temperature: i % 2, maxTokens: 100 },
    seed: BigInt(i),
    ignoreEos: true,
  }),
);

async function started(fingerprints: readonly string[]) {
  const cluster = new Cluster();
  const engines = fingerprints.map((fingerprint, i) => cluster.startEngine(`engine-${i}`, { fingerprint, stepMs: 20 }));
  const { frontend, observations } = cluster.startFrontend();
  await cluster.clock.until(() => frontend.engines().filter(({ state }) => state === 'serving').length === engines.length);
  return { ...cluster, clock: cluster.clock, cluster, engines, frontend, observations };
}

async function textsOfAQuietRun() {
  const { clock, frontend } = await started(['a']);
  return (await clock.untilSettled(Promise.all(requests.map((request) => generate(frontend, request))), 60_000)).map(
    ({ choices }) => choices,
  );
}

test('after --drain-migrate-after what runs goes on in an equal engine, with the same tokens, and the drained one is done', async () => {
  const expected = await textsOfAQuietRun();
  const { clock, engines, frontend, observations } = await started(['a', 'a']);
  const results = Promise.all(requests.map((request) => generate(frontend, request)));
  await clock.advance(300);
  const numBefore = engines[0]!.rank.engine.stats().numRunning;
  assert.ok(numBefore > 0, 'the scenario: it works');
  const drained = engines[0]!.group.drain({ migrateAfterMs: 200 });
  await clock.advance(150);
  assert.equal(engines[0]!.rank.engine.stats().numRunning, numBefore, 'it had time to finish by itself');
  await clock.untilSettled(drained, 1000);
  assert.equal(engines[0]!.group.state, 'drained');
  assert.ok(frontend.numLive > 0, 'the requests go on');
  assert.deepEqual(
    (await clock.untilSettled(results, 60_000)).map(({ choices }) => choices),
    expected,
  );
  assert.ok(observations.some(({ numAttempts }) => numAttempts === 2));
  assert.equal(observations.length, requests.length, 'one outcome each');
});

for (const [what, fingerprints] of [
  ['the last engine', ['a']],
  ['the last engine of its kind', ['a', 'b']],
] as const) {
  test(`${what} never migrates: it finishes what it has`, async () => {
    const { clock, engines, frontend, observations } = await started(fingerprints);
    const results = Promise.all(requests.map((request) => generate(frontend, request)));
    await clock.advance(300);
    const drained = engines[0]!.group.drain({ migrateAfterMs: 0 });
    await clock.untilSettled(drained, 60_000);
    await clock.untilSettled(results, 60_000);
    assert.ok(observations.every(({ numAttempts }) => numAttempts === 1));
  });
}
