/** T-19: one engine's name started twice. The later start wins everywhere, the earlier one ends and says why, and no stream mixes the two. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodies, cluster, runAll, startEngine, untilIdle, untilServing } from '../support/nats-cluster.ts';
import { numNearTies } from '../support/token-identity.ts';

test('T-19, the same name twice under 64 streams: the later start wins, the earlier ends with a clear message, no token changes', async (t) => {
  const { frontend, flags, engines } = await cluster(t, 1);
  const expected = await runAll(frontend);
  const [first] = engines;
  let second: ReturnType<typeof startEngine> | null = null;
  const faulted = await runAll(frontend, 5, () => {
    second = startEngine(t, flags, 'node-0');
  });
  assert.ok(second, 'the name was taken in the middle');
  const code = await first!.exited;
  const told = [...first!.stderr, ...first!.logs.map((line) => JSON.stringify(line))].join('\n');
  assert.notEqual(code, 0);
  assert.match(told, /started again|later start|started elsewhere|same name|newer/i);
  t.diagnostic(
    `${numNearTies(expected.streams, faulted.streams, bodies)} of ${bodies.length} differ from a near tie on; exit code ${code}`,
  );
  await untilServing(frontend, 1);
  await untilIdle(frontend);
});
