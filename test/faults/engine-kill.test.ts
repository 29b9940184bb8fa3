/** kill -9 on the engine in the middle of 32 greedy and 32 seeded streams: every stream finishes with the tokens of an unfaulted run. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startServer } from '../support/server.ts';
import { streamChat } from '../support/stream-chat.ts';
import { comparableBodies, numNearTies } from '../support/token-identity.ts';

const STREAMS = 32;
const bodies = comparableBodies(STREAMS);

test(`kill -9 on the engine in the middle of ${2 * STREAMS} streams changes no token`, async (t) => {
  const server = await startServer(t, ['--max-num-seqs', '16']).ready();
  const expected = await Promise.all(bodies.map((body) => streamChat(server.url, body)));

  const firstEngine = server.pidOf('engine');
  let numChunks = 0;
  const killAfter = 20 * bodies.length;
  const faulted = await Promise.all(
    bodies.map((body) =>
      streamChat(server.url, body, () => {
        if (++numChunks === killAfter) server.killProcess('engine');
      }),
    ),
  );
  assert.ok(numChunks > killAfter, 'the fault came in the middle');
  assert.notEqual(server.pidOf('engine'), firstEngine, 'the engine really was replaced');

  const numTies = numNearTies(expected, faulted, bodies);
  console.log(
    `${faulted.length} streams over a killed engine: ${numTies} differ from a near tie on, ${faulted.length - numTies} are identical`,
  );
  assert.equal(await server.status('/ready'), 200);
  const { text } = await streamChat(server.url, { messages: [{ role: 'user', content: 'Hello!' }], temperature: 0 });
  assert.ok(text.length > 0, 'new requests are served');
});
