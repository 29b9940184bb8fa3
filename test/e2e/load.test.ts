/** 200 clients at once, ten rounds: all finish, nothing leaks, nothing is left in the gauges, nothing was warned about. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { startServer } from '../support/server.ts';
import { streamChat } from '../support/stream-chat.ts';

const CLIENTS = 200;
const ROUNDS = 10;
/** Heaps are collected while nobody is served, looked at once a second (src/level-memory.ts). */
const REST_MS = 2_500;

test(`${CLIENTS} streaming clients, ${ROUNDS} rounds: all finish, memory stays, gauges return to zero, no warning`, async (t) => {
  const server = await startServer(t).ready();
  const memory: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const results = await Promise.all(
      Array.from({ length: CLIENTS }, (_, client) =>
        streamChat(server.url, {
          messages: [{ role: 'user', content: `Tell me a story about a fox and the number ${client}.` }],
          max_tokens: 32,
          seed: round * CLIENTS + client,
        }),
      ),
    );
    for (const result of results) assert.ok(result.finishReason === 'stop' || result.finishReason === 'length', JSON.stringify(result));
    await setTimeout(REST_MS);
    memory.push(server.memoryBytes());
  }
  const mib = memory.map((bytes) => Math.round(bytes / 2 ** 20));
  console.log(`memory after each round, MiB: ${mib.join(' ')}`);
  assert.ok(memory[ROUNDS - 1]! <= memory[1]! * 1.05, `memory grew from ${mib[1]} to ${mib[ROUNDS - 1]} MiB`);
  for (const gauge of ['troupe:num_requests_running', 'troupe:num_requests_waiting', 'troupe:kv_cache_usage_ratio']) {
    while ((await server.metric(gauge)) !== 0) await server.tick(`waiting for ${gauge} to return to 0`);
  }
  assert.equal(await server.metric('troupe:request_success_total'), CLIENTS * ROUNDS);
  assert.deepEqual(server.warnings(), []);
});
