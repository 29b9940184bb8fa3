/** The request path over wires that lose, repeat, delay and reorder. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GenerateRequest } from '../../src/core/generation.ts';
import { type Faults, FaultyTransport } from '../../src/transport/faulty-transport.ts';
import { Cluster, type ClusterOptions } from '../support/cluster.ts';
import { generate, generateRequest, type ReadResult } from '../support/generate.ts';
import { seededRandom } from '../support/seeded-random.ts';

function workload(): GenerateRequest[] {
  return Array.from({ length: 24 }, (_, i) =>
    generateRequest({
      requestId: `request-${i}`,
      prompt: { type: 'tokens', tokenIds: Array.from({ length: 4 + (i % 7) }, (_, j) => 5 + ((i * 7 + j) % 90)) },
      n: i % 6 === 0 ? 2 : 1,
      sampling: { temperature: i % 2, maxTokens: 10 + i, logprobs: 0 },
      seed: BigInt(i),
      ignoreEos: true,
    }),
  );
}

const faulty = (seed: number, faults: Omit<Faults, 'random' | 'clock'>): NonNullable<ClusterOptions['wrap']> => {
  const source = seededRandom(seed);
  const random = () => source.below(2 ** 30) / 2 ** 30;
  return (transport, clock) => new FaultyTransport(transport, { ...faults, random, clock });
};

async function run(options: ClusterOptions): Promise<{ results: ReadResult[]; cluster: Cluster; numReplays: number }> {
  const cluster = new Cluster(options);
  const engine = cluster.startEngine();
  const running = cluster.startFrontend();
  const { frontend, observations } = running;
  await cluster.clock.until(() => frontend.readiness().state === 'ready');
  const results = await cluster.clock.untilSettled(Promise.all(workload().map((request) => generate(frontend, request))), 300_000);
  assert.equal(observations.length, 24, 'one outcome each');
  assert.equal(frontend.numLive, 0);
  await cluster.clock.until(() => engine.rank.engine.stats().numUsedBlocks === 0 && !engine.rank.engine.hasWork);
  await cluster.clock.untilSettled(engine.group.drain());
  return { results, cluster, numReplays: running.numReplays };
}

const choicesOf = (results: readonly ReadResult[]) => results.map((result) => result.choices);

test('10 % loss, 10 % duplication and 80 ms of reordering between subjects change no token and hang nothing', async () => {
  const expected = await run({});
  assert.equal(expected.numReplays, 0);
  for (const seed of [1, 2, 3]) {
    const { results, numReplays } = await run({ wrap: faulty(seed, { lossRate: 0.1, duplicateRate: 0.1, delayMs: 80 }) });
    assert.deepEqual(choicesOf(results), choicesOf(expected.results));
    assert.ok(numReplays > 0, 'the scenario: frames were lost and asked for again');
  }
});

test('when half of everything is lost, it takes longer and changes no token', async () => {
  const expected = await run({});
  const { results } = await run({ wrap: faulty(11, { lossRate: 0.5 }) });
  assert.deepEqual(choicesOf(results), choicesOf(expected.results));
});

test('a frontend that is cut off loses nothing: nobody is declared dead, and replay brings the rest', async () => {
  const expected = await run({});
  const wires: FaultyTransport[] = [];
  const cluster = new Cluster({
    wrap: (transport, clock) => {
      const wire = new FaultyTransport(transport, { clock, random: () => 0.5 });
      wires.push(wire);
      return wire;
    },
  });
  cluster.startEngine();
  const { frontend, observations } = cluster.startFrontend();
  await cluster.clock.until(() => frontend.readiness().state === 'ready');
  const running = Promise.all(workload().map((request) => generate(frontend, request)));
  await cluster.clock.advance(100);
  wires[1]!.cut();
  await cluster.clock.advance(4000);
  assert.equal(frontend.readiness().state, 'ready', 'its own disconnection says nothing about engines');
  wires[1]!.restore();
  const results = await cluster.clock.untilSettled(running);
  assert.deepEqual(choicesOf(results), choicesOf(expected.results));
  assert.ok(observations.every((seen) => seen.numAttempts === 1));
});

test('a frontend that was silent too long finds its requests aborted and goes on with the same tokens', async () => {
  const expected = await run({});
  const wires: FaultyTransport[] = [];
  const cluster = new Cluster({
    wrap: (transport, clock) => {
      const wire = new FaultyTransport(transport, { clock, random: () => 0.5 });
      wires.push(wire);
      return wire;
    },
  });
  const engine = cluster.startEngine('engine-0', { stepMs: 500 });
  const { frontend } = cluster.startFrontend();
  await cluster.clock.until(() => frontend.readiness().state === 'ready');
  const running = Promise.all(workload().map((request) => generate(frontend, request)));
  await cluster.clock.advance(1600);
  wires[1]!.cut();
  await cluster.clock.advance(8000);
  assert.equal(engine.rank.engine.stats().numRunning, 0, 'the engine gave its requests up');
  wires[1]!.restore();
  assert.deepEqual(choicesOf(await cluster.clock.untilSettled(running, 300_000)), choicesOf(expected.results));
});

test('the engine gives back what a frontend held that was killed, while another one goes on', async () => {
  const cluster = new Cluster();
  const { rank } = cluster.startEngine();
  const [dying, living] = [cluster.startFrontend('frontend-0'), cluster.startFrontend('frontend-1')];
  await cluster.clock.until(() => [dying, living].every(({ frontend }) => frontend.readiness().state === 'ready'));
  await cluster.clock.advance(300);
  const request = () => generateRequest({ sampling: { maxTokens: 100 }, ignoreEos: true });
  for (let i = 0; i < 3; i++) generate(dying.frontend, request()).catch(() => {});
  const survivor = generate(living.frontend, request());
  await cluster.clock.advance(100);
  assert.equal(rank.engine.stats().numRunning, 4);
  await cluster.kill(dying);
  await cluster.clock.advance(20);
  assert.equal(rank.engine.stats().numRunning, 1);
  assert.equal((await cluster.clock.untilSettled(survivor)).choices[0]!.ids.length, 100);
  const successor = cluster.startFrontend('frontend-0');
  await cluster.clock.until(() => successor.frontend.readiness().state === 'ready');
  assert.equal((await cluster.clock.untilSettled(generate(successor.frontend, request()))).choices[0]!.ids.length, 100);
});
