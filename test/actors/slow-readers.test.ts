/** Readers that do not keep up cost a place for a while, never memory, and get the same text in the end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Frontend } from '../../src/actors/frontend.ts';
import type { TextDelta } from '../../src/core/generation.ts';
import { FaultyTransport } from '../../src/transport/faulty-transport.ts';
import { Cluster, type ClusterOptions } from '../support/cluster.ts';
import { generate, generateRequest } from '../support/generate.ts';
import { seededRandom } from '../support/seeded-random.ts';

const request = (i: number, maxTokens = 200) =>
  generateRequest({
    requestId: `slow-${i}`,
    prompt: { type: 'tokens', tokenIds: [5 + i, 6, 7] },
    sampling: { maxTokens, temperature: 0.9 },
    seed: BigInt(i),
    wantTokenIds: true,
  });

async function serving(options: ClusterOptions = {}) {
  const cluster = new Cluster(options);
  const engine = cluster.startEngine();
  const { frontend } = cluster.startFrontend('frontend-0', { maxUnreadTokens: 16 });
  await cluster.clock.until(() => frontend.readiness().state === 'ready');
  return { cluster, clock: cluster.clock, engine, stats: () => engine.rank.engine.stats(), frontend };
}

/** Reads nothing until told to. */
async function open(frontend: Frontend, i: number) {
  const controller = new AbortController();
  const generation = await frontend.generate(request(i), controller.signal);
  const readAll = async (): Promise<number[]> => {
    const ids: number[] = [];
    for await (const deltas of generation.deltas) for (const delta of deltas as readonly TextDelta[]) ids.push(...delta.tokenIds);
    return ids;
  };
  return { controller, readAll, usage: () => generation.usage() };
}

test('20 readers that stop for good lose their rows after a while; others get them, and memory stands still', async () => {
  const { clock, stats, frontend, engine } = await serving();
  const opening = Promise.all(Array.from({ length: 20 }, (_, i) => open(frontend, i)));
  const readers = await clock.untilSettled(opening);
  await clock.until(() => stats().numUsedBlocks === 0 && readers.every(({ usage }) => usage().completionTokens >= 16), 60_000);
  assert.equal(stats().numRunning, 0, 'no row is theirs');
  const tokens = (): number => readers.reduce((sum, { usage }) => sum + usage().completionTokens, 0);
  const numTokens = tokens();
  assert.ok(numTokens < 20 * 24, `${numTokens} tokens wait unread`);
  const numSteps = stats().numSteps;
  await clock.advance(60_000);
  assert.equal(tokens(), numTokens);
  assert.ok(stats().numSteps - numSteps <= 1, 'nothing is computed for nobody');
  assert.equal(frontend.engines().length, 1, 'an engine whose readers stand still is not stuck');
  const since = clock.monotonic();
  const other = await clock.untilSettled(generate(frontend, request(90, 20)));
  assert.equal(other.choices[0]!.finish, 'length');
  assert.ok(clock.monotonic() - since < 500, 'others are not held up');
  for (const { controller } of readers) controller.abort();
  await clock.advance(300);
  assert.equal(frontend.numLive, 0);
  assert.equal(stats().numWaiting, 0);
  engine.rank.engine.assertIntegrity();
});

for (const pauseMs of [500, 10_000]) {
  test(`a reader that goes on after ${pauseMs} ms gets the same text, ${pauseMs < 2000 ? 'from its row' : 'computed again'}`, async () => {
    const { clock, stats, frontend, engine } = await serving();
    const expected = await clock.untilSettled(generate(frontend, request(3)));
    const reader = await clock.untilSettled(open(frontend, 3));
    await clock.until(() => reader.usage().completionTokens >= 16);
    await clock.advance(pauseMs);
    assert.equal(stats().numRunning, pauseMs < 2000 ? 1 : 0);
    assert.ok(reader.usage().completionTokens < 24, 'it stood still');
    assert.deepEqual(await clock.untilSettled(reader.readAll()), expected.choices[0]!.ids);
    await clock.advance(100);
    engine.rank.engine.assertIntegrity();
  });
}

test('with a third of all messages lost, held requests still stand still, and go on', async () => {
  const random = seededRandom(4);
  const { clock, frontend } = await serving({
    wrap: (transport, clock) => new FaultyTransport(transport, { clock, random: () => random.below(1000) / 1000, lossRate: 0.33 }),
  });
  const expected = await clock.untilSettled(generate(frontend, request(5)));
  const reader = await clock.untilSettled(open(frontend, 5));
  await clock.until(() => reader.usage().completionTokens >= 16);
  await clock.advance(8000);
  assert.ok(reader.usage().completionTokens < 150, `${reader.usage().completionTokens}`);
  assert.deepEqual(await clock.untilSettled(reader.readAll()), expected.choices[0]!.ids);
});
