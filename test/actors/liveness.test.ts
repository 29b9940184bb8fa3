/** Engines that stand still, are stuck, or are started twice: nobody waits for them, nobody mixes their tokens with their successors'. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FrontendOptions } from '../../src/actors/frontend.ts';
import { StartupError } from '../../src/core/errors.ts';
import type { LoopbackTransport } from '../../src/transport/loopback.ts';
import { Cluster, type RunningGroup } from '../support/cluster.ts';
import { generate, generateRequest } from '../support/generate.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';

/** A process that SIGSTOP holds: nothing goes out or comes in until SIGCONT, then everything that waited does. */
class Stopper {
  #held: (() => void)[] | null = null;

  wrap(transport: LoopbackTransport): LoopbackTransport {
    const publish = transport.publish.bind(transport);
    const subscribe = transport.subscribe.bind(transport);
    transport.publish = (subject, data) => this.#run(() => publish(subject, data));
    transport.subscribe = (subject, handler) => subscribe(subject, (message) => this.#run(() => handler(message)));
    return transport;
  }

  stop(): void {
    this.#held ??= [];
  }

  continue(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const run of held) run();
  }

  #run(run: () => void): void {
    if (this.#held) this.#held.push(run);
    else run();
  }
}

async function twoEngines(options: Partial<FrontendOptions> = {}) {
  const stoppers = new Map<string, Stopper>();
  const cluster = new Cluster({
    wrap: (transport) => {
      const stopper = new Stopper();
      stoppers.set(transport.peerId, stopper);
      return stopper.wrap(transport);
    },
  });
  const engines = [cluster.startEngine('engine-0'), cluster.startEngine('engine-1')] as const;
  const running = cluster.startFrontend('frontend-0', options);
  await cluster.clock.until(() => running.frontend.engines().filter((engine) => engine.state === 'serving').length === 2);
  const stopperOf = (process: { readonly peerId: string }) => stoppers.get(process.peerId)!;
  return { cluster, clock: cluster.clock, engines, stopperOf, ...running };
}

const requests = (num: number, maxTokens = 200) =>
  Array.from({ length: num }, (_, i) =>
    generateRequest({
      requestId: `r${i}`,
      prompt: { type: 'tokens', tokenIds: [5 + i, 6, 7, 8] },
      sampling: { maxTokens, temperature: 0.8 },
      seed: BigInt(i),
    }),
  );

async function unfaulted(num: number): Promise<readonly (readonly number[])[]> {
  const cluster = new Cluster();
  cluster.startEngine();
  const { frontend } = cluster.startFrontend();
  await cluster.clock.until(() => frontend.readiness().state === 'ready');
  const results = await cluster.clock.untilSettled(Promise.all(requests(num).map((request) => generate(frontend, request))));
  return results.map(({ choices }) => choices[0]!.ids);
}

const has = ({ rank }: RunningGroup): number => rank.engine.stats().numRunning;

async function elapsed(clock: VirtualClock, claim: () => boolean): Promise<number> {
  const since = clock.monotonic();
  await clock.until(claim, 10_000);
  return clock.monotonic() - since;
}

test('an engine that stands still is given up within 3 s; when it goes on, its frames are refused and counted, and it is back within 5 s', async () => {
  const expected = await unfaulted(8);
  const { cluster, clock, frontend, engines, stopperOf, refused, observations } = await twoEngines();
  const results = Promise.all(requests(8).map((request) => generate(frontend, request)));
  await clock.advance(200);
  assert.ok(has(engines[0]) > 0 && has(engines[1]) > 0, 'both work');
  stopperOf(engines[0]).stop();
  assert.ok((await elapsed(clock, () => frontend.engines().length === 1)) <= 3000);
  await clock.advance(100);
  assert.ok(has(engines[1]) > 0, 'its requests went to the other');
  const numRefused = refused.length;
  stopperOf(engines[0]).continue();
  await clock.advance(10);
  assert.ok(refused.slice(numRefused).filter((reason) => reason === 'stale_epoch').length >= 2, 'late frames and beats are counted');
  assert.ok((await elapsed(clock, () => frontend.engines().length === 2)) <= 5000);
  const said = (await clock.untilSettled(results)).map(({ choices }) => choices[0]!.ids);
  assert.deepEqual(said, expected);
  assert.ok(observations.some(({ numAttempts }) => numAttempts === 2));
  assert.equal(engines[0].group.state, 'serving');
  await clock.advance(500);
  for (const engine of engines) assert.equal(engine.rank.engine.stats().numRunning, 0);
  // It serves as before.
  await cluster.kill(engines[1]);
  const again = await clock.untilSettled(generate(frontend, requests(1)[0]!));
  assert.deepEqual(again.choices[0]!.ids, expected[0]);
});

test('a rank that beats but takes no step is lost after 3 s, and its group ends by itself', async () => {
  const expected = await unfaulted(4);
  const { clock, frontend, engines } = await twoEngines();
  const results = Promise.all(requests(4).map((request) => generate(frontend, request)));
  await clock.advance(300);
  assert.ok(has(engines[0]) > 0);
  engines[0].rank.kill(); // the thread says nothing more; the group's main thread beats on
  const lostAfterMs = await elapsed(clock, () => frontend.engines().length === 1);
  assert.ok(lostAfterMs > 2000 && lostAfterMs <= 3750, `${lostAfterMs}`);
  const said = (await clock.untilSettled(results)).map(({ choices }) => choices[0]!.ids);
  assert.deepEqual(said, expected);
  const { error } = await clock.untilSettled(engines[0].group.ended);
  assert.match(String(error), /The rank is stuck in the step after step \d+/);
});

test('an idle engine, and one that an operator paused with work in hand, is never stuck', async () => {
  const { clock, frontend } = await twoEngines();
  await clock.advance(30_000);
  assert.equal(frontend.engines().length, 2);
  const result = generate(frontend, requests(1)[0]!);
  await clock.advance(200);
  await clock.untilSettled(frontend.pause('keep'));
  await clock.advance(30_000);
  assert.equal(frontend.engines().length, 2);
  await frontend.resume();
  assert.equal((await clock.untilSettled(result)).choices[0]!.finish, 'length');
});

test('a frontend that is held up for 2 s loses no engine', async () => {
  const { clock, frontend, stopperOf, peerId, refused, observations } = await twoEngines();
  const results = Promise.all(requests(6).map((request) => generate(frontend, request)));
  for (let i = 0; i < 4; i++) {
    await clock.advance(300);
    stopperOf({ peerId }).stop();
    await clock.stall(2000);
    stopperOf({ peerId }).continue();
  }
  await clock.untilSettled(results);
  assert.deepEqual(refused, []);
  assert.deepEqual(
    observations.map(({ numAttempts }) => numAttempts),
    [1, 1, 1, 1, 1, 1],
  );
});

test('the same engine started twice: the newer epoch wins everywhere, the older one ends with a clear message', async () => {
  const expected = await unfaulted(4);
  const { cluster, clock, frontend, engines, refused } = await twoEngines();
  const results = Promise.all(requests(4).map((request) => generate(frontend, request)));
  await clock.advance(200);
  assert.ok(has(engines[0]) > 0);
  const newer = cluster.startEngine('engine-0', { loadMs: 500 });
  const { error } = await clock.untilSettled(engines[0].group.ended, 1000);
  assert.ok(error instanceof StartupError, 'not worth a restart');
  assert.match(error.message, /Engine engine-0 was started again \(epoch \d+-7, engine-0-\d+\): this older start ends\./);
  const said = (await clock.untilSettled(results)).map(({ choices }) => choices[0]!.ids);
  assert.deepEqual(said, expected, 'no stream is mixed');
  assert.equal(newer.group.state, 'serving');
  assert.equal(engines[1].group.state, 'serving', 'others go on');
  assert.deepEqual(
    refused.filter((reason) => reason !== 'stale_epoch'),
    [],
  );
});
