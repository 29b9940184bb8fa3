/** Everything at once, from a seed: lossy wires, engines that die and come back, clients that leave, requests that wait. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TroupeError } from '../../src/core/errors.ts';
import type { GenerateRequest } from '../../src/core/generation.ts';
import { FaultyTransport } from '../../src/transport/faulty-transport.ts';
import { Cluster, type RunningGroup } from '../support/cluster.ts';
import { generate, generateRequest, type ReadChoice } from '../support/generate.ts';
import { type Random, seededRandom } from '../support/seeded-random.ts';

const NUM_REQUESTS = 40;
const ENGINE = { maxNumSeqs: 6, maxNumBatchedTokens: 24, numBlocks: 120 };

function randomRequest(random: Random, i: number): GenerateRequest {
  return generateRequest({
    requestId: `request-${i}`,
    prompt: { type: 'tokens', tokenIds: Array.from({ length: 1 + random.below(30) }, (_, j) => 5 + ((random.below(3) + j) % 60)) },
    n: 1 + random.below(2),
    sampling: { temperature: random.below(2), maxTokens: 1 + random.below(40), logprobs: random.below(2) ? 1 : null },
    seed: BigInt(random.below(1000)),
    stop: random.below(4) === 0 ? ['a', 'the'] : [],
    ignoreEos: random.below(2) === 0,
  } as Partial<GenerateRequest>);
}

async function undisturbed(requests: readonly GenerateRequest[]): Promise<ReadChoice[][]> {
  const cluster = new Cluster({ engine: ENGINE });
  cluster.startEngine();
  const { frontend } = cluster.startFrontend();
  await cluster.clock.until(() => frontend.readiness().state === 'ready');
  const results = await cluster.clock.untilSettled(Promise.all(requests.map((request) => generate(frontend, request))));
  return results.map((result) => result.choices);
}

for (const seed of [1, 2, 3, 4]) {
  test(`seed ${seed}: every request ends once, and what was said is what an undisturbed run says`, async () => {
    const random = seededRandom(seed);
    const requests = Array.from({ length: NUM_REQUESTS }, (_, i) => randomRequest(random, i));
    const expected = await undisturbed(requests);
    const cluster = new Cluster({
      engine: ENGINE,
      wrap: (transport, clock) =>
        new FaultyTransport(transport, {
          clock,
          random: () => random.below(2 ** 30) / 2 ** 30,
          lossRate: 0.05,
          duplicateRate: 0.05,
          delayMs: 40,
        }),
    });
    const engines = new Map<string, RunningGroup>();
    for (const id of ['engine-0', 'engine-1']) engines.set(id, cluster.startEngine(id));
    const fronts = [cluster.startFrontend('frontend-0'), cluster.startFrontend('frontend-1')];
    await cluster.clock.until(() => fronts.every(({ frontend }) => frontend.readiness().state === 'ready'));

    const outcomes: (string | undefined)[] = Array.from({ length: NUM_REQUESTS });
    const running = requests.map(async (request, i) => {
      const abort = new AbortController();
      const leavesAfter = random.below(5) === 0 ? random.below(15) : Number.POSITIVE_INFINITY;
      let said: readonly ReadChoice[] = [];
      const onRead = (choices: readonly ReadChoice[]): void => {
        said = choices;
        if (choices[0]!.ids.length >= leavesAfter) abort.abort();
      };
      try {
        await generate(fronts[i % 2]!.frontend, request, { signal: abort.signal, onRead });
        assert.equal(outcomes[i], undefined);
        const isCut = said.some((choice) => choice.finish === 'recover_stop');
        outcomes[i] = abort.signal.aborted ? 'aborted' : isCut ? 'cut' : 'finished';
      } catch (error) {
        assert.ok(error instanceof TroupeError && error.code === 'engine_failed', String(error));
        outcomes[i] = 'failed';
      }
      for (const [index, choice] of said.entries()) {
        const whole = expected[i]![index]!;
        assert.deepEqual(choice.ids, whole.ids.slice(0, choice.ids.length));
        if (outcomes[i] === 'finished') assert.deepEqual(choice, whole);
      }
    });
    const all = Promise.all(running);
    for (let deaths = 0; deaths < 3; deaths++) {
      await cluster.clock.advance(100 + random.below(200));
      const id = `engine-${random.below(2)}`;
      await cluster.kill(engines.get(id)!);
      await cluster.clock.advance(random.below(400));
      engines.set(id, cluster.startEngine(id, { loadMs: 50 + random.below(500) }));
    }
    await cluster.clock.untilSettled(all, 300_000);
    assert.ok(outcomes.every((outcome) => outcome !== undefined));
    for (const { frontend } of fronts) assert.equal(frontend.numLive, 0);
    assert.equal(fronts[0]!.observations.length + fronts[1]!.observations.length, NUM_REQUESTS);
    for (const { rank } of engines.values()) {
      await cluster.clock.until(() => !rank.engine.hasWork);
      rank.engine.assertIntegrity();
      assert.equal(rank.engine.stats().numUsedBlocks, 0);
    }
  });
}

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
