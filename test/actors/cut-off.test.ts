/** A frontend that lost its own connection: nothing that happens meanwhile is held against the engines. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cluster } from '../support/cluster.ts';
import { generate, generateRequest } from '../support/generate.ts';

test('requests that came while the frontend was cut off run as soon as it is back: no breaker has opened', async () => {
  const cluster = new Cluster();
  cluster.startEngine();
  const { frontend, peerId } = cluster.startFrontend();
  await cluster.clock.until(() => frontend.readiness().state === 'ready');
  const running = generate(frontend, generateRequest({ sampling: { maxTokens: 100 }, ignoreEos: true }));
  await cluster.clock.advance(100);
  cluster.bus.disconnect(peerId);
  // More of them than a breaker takes, and some already at the engine's door.
  const waiting = Promise.all(Array.from({ length: 12 }, () => generate(frontend, generateRequest())));
  await cluster.clock.advance(9000);
  const backAt = cluster.clock.monotonic();
  cluster.bus.reconnect(peerId);
  await cluster.clock.untilSettled(waiting);
  assert.equal((await cluster.clock.untilSettled(running)).choices[0]!.ids.length, 100);
  assert.ok(cluster.clock.monotonic() - backAt < 10_000, 'frames that the engine no longer holds are given up after 5 s');
});
