/** A request that ends every engine it comes to: it is given up after its third, and nobody else's request is lost or changed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cluster, type RunningGroup } from '../support/cluster.ts';
import { generate, generateRequest } from '../support/generate.ts';

const POISON = 99;
const NUM_ENGINES = 4;

const requests = Array.from({ length: 12 }, (_, i) =>
  generateRequest({
    requestId: `request-${i}`,
    prompt: { type: 'tokens', tokenIds: [5 + i, 9, 11] },
    n: i % 4 === 0 ? 2 : 1,
    sampling: { temperature: i % 2, maxTokens: 60 },
    seed: BigInt(i),
    ignoreEos: true,
  }),
);
const poison = generateRequest({ requestId: 'poison', prompt: { type: 'tokens', tokenIds: [7, POISON] }, sampling: { maxTokens: 9 } });

async function started(numEngines: number) {
  const cluster = new Cluster();
  const dead: string[] = [];
  const engines: RunningGroup[] = [];
  for (let i = 0; i < numEngines; i++) {
    const onSubmit = ({ tokenIds }: { readonly tokenIds: Int32Array }): void => {
      if (!tokenIds.includes(POISON)) return;
      dead.push(`engine-${i}`);
      void cluster.kill(engines[i]!);
      throw new Error('this process is dead');
    };
    engines.push(cluster.startEngine(`engine-${i}`, { stepMs: 20, knobs: { script: { onSubmit } } }));
  }
  const { frontend, observations } = cluster.startFrontend();
  await cluster.clock.until(() => frontend.engines().filter(({ state }) => state === 'serving').length === numEngines);
  return { cluster, clock: cluster.clock, engines, dead, frontend, observations };
}

test('three engines die of a poisoned request, then it gets a typed error; the others finish with the tokens of a quiet run', async () => {
  const quiet = await started(1);
  const expected = await quiet.clock.untilSettled(Promise.all(requests.map((request) => generate(quiet.frontend, request))), 60_000);

  const { clock, dead, frontend, observations } = await started(NUM_ENGINES);
  const running = Promise.all(requests.map((request) => generate(frontend, request)));
  await clock.advance(200);
  const poisoned = generate(frontend, poison);
  const seen = await clock.untilSettled(Promise.allSettled([poisoned]), 60_000);
  const results = await clock.untilSettled(running, 60_000);
  assert.equal(dead.length, 3, `died: ${dead.join()}`);
  assert.deepEqual(
    results.map(({ choices }) => choices),
    expected.map(({ choices }) => choices),
  );
  const [outcome] = seen;
  assert.equal(outcome?.status, 'rejected');
  assert.equal((outcome?.status === 'rejected' ? outcome.reason : null)?.code, 'engine_failed');
  assert.equal(observations.length, requests.length + 1, 'one outcome each');
  assert.equal(frontend.numLive, 0);
});

test('when the cause was something else, suspects run again and are cleared', async () => {
  const { cluster, clock, engines, frontend, observations } = await started(2);
  const running = Promise.all(requests.map((request) => generate(frontend, request)));
  await clock.advance(200);
  await cluster.kill(engines[0]!);
  await clock.untilSettled(running, 60_000);
  assert.equal(observations.length, requests.length);
  assert.ok(observations.every(({ finishReason }) => finishReason === 'length'));
});
