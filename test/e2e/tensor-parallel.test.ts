/** Two ranks that share a model, on the running server: the same text as one rank writes, and a killed engine changes none of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startServer } from '../support/server.ts';
import { streamChat } from '../support/stream-chat.ts';
import { comparableBodies, numNearTies } from '../support/token-identity.ts';

const bodies = comparableBodies(8);
const TWO_RANKS = ['--tensor-parallel-size', '2', '--max-num-seqs', '8', '--collective-timeout', '20'];

test('two ranks write what one rank writes, and go on with it when their process is killed', async (t) => {
  const one = await startServer(t, ['--max-num-seqs', '8']).ready();
  const expected = await Promise.all(bodies.map((body) => streamChat(one.url, body)));
  one.kill();
  await one.exited;

  const two = await startServer(t, TWO_RANKS).ready();
  const unfaulted = await Promise.all(bodies.map((body) => streamChat(two.url, body)));
  t.diagnostic(`${bodies.length} texts by two ranks: ${numNearTies(expected, unfaulted, bodies)} differ from a near tie on`);

  let seconds = 0;
  while (seconds === 0) {
    await two.tick('waiting for the beat with the counters');
    seconds = await two.metric('troupe:collective_seconds_total');
  }
  assert.ok((await two.metric('troupe:collective_bytes_total')) > 0);
  t.diagnostic(`${seconds.toFixed(2)} s in exchanges`);

  const firstEngine = two.pidOf('engine');
  let numChunks = 0;
  const killAfter = 20 * bodies.length;
  const faulted = await Promise.all(
    bodies.map((body) =>
      streamChat(two.url, body, () => {
        if (++numChunks === killAfter) two.killProcess('engine');
      }),
    ),
  );
  assert.ok(numChunks > killAfter, 'the fault came in the middle');
  assert.notEqual(two.pidOf('engine'), firstEngine, 'the engine really was replaced');
  t.diagnostic(`${bodies.length} texts over a killed group: ${numNearTies(unfaulted, faulted, bodies)} differ from a near tie on`);
});
