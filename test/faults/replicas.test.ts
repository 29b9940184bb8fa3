/** Two engines on one machine: what happens to 64 streams when one of them dies. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instants } from '../support/all-faults.ts';
import { startServer } from '../support/server.ts';
import { streamChat } from '../support/stream-chat.ts';
import { comparableBodies, numNearTies } from '../support/token-identity.ts';

const bodies = comparableBodies(32);
/** A second, and what recomputing the prefixes takes: here a few hundred tokens for each of 32 streams. */
const LONGEST_GAP_MS = 2000;

for (const afterChunks of instants()) {
  test(`T-2, two engines, 64 streams: kill -9 on one after ${afterChunks} tokens a stream changes no token`, async (t) => {
    const server = await startServer(t, ['--data-parallel-size', '2', '--max-num-seqs', '64']).ready();
    while ((await server.metric('troupe:max_num_seqs')) < 128) await server.tick('both engines are to serve');
    const expected = await Promise.all(bodies.map((body) => streamChat(server.url, body)));

    const before = server.pidsOf('engine');
    assert.equal(before.length, 2);
    let numChunks = 0;
    let killed = 0;
    let longestMs = 0;
    const faulted = await Promise.all(
      bodies.map((body) => {
        let last: number | null = null;
        return streamChat(server.url, body, () => {
          const now = performance.now();
          if (last !== null) longestMs = Math.max(longestMs, now - last);
          last = now;
          if (++numChunks === afterChunks * bodies.length) killed = server.killProcess('engine');
        });
      }),
    );
    assert.ok(before.includes(killed), 'the fault came in the middle');
    assert.ok(!server.pidsOf('engine').includes(killed), 'the process is gone');
    const numTies = numNearTies(expected, faulted, bodies);
    t.diagnostic(`${numTies} of ${bodies.length} differ from a near tie on; the longest gap of a stream was ${longestMs.toFixed(0)} ms`);
    assert.ok(longestMs <= LONGEST_GAP_MS, `a stream stood still for ${longestMs.toFixed(0)} ms`);
    while (server.pidsOf('engine').length < 2 || (await server.metric('troupe:max_num_seqs')) < 128) {
      await server.tick('the engine is to be replaced');
    }
    for (const gauge of ['troupe:num_requests_running', 'troupe:num_requests_waiting', 'troupe:kv_cache_usage_ratio']) {
      while ((await server.metric(gauge)) !== 0) await server.tick(`waiting for ${gauge} to return to 0`);
    }
  });
}
