/** Two servers that compute one model together over TCP: node 0 answers, node 1 has no API. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { probePort } from '../../src/free-port.ts';
import { runTroupe, type Server, startServer } from '../support/server.ts';
import { streamChat } from '../support/stream-chat.ts';
import { comparableBodies, numNearTies } from '../support/token-identity.ts';

const bodies = comparableBodies(4, 60);

test('two nodes write what one writes, and again when either dies or hangs', async (t) => {
  const one = await startServer(t, ['--max-num-seqs', '8']).ready();
  const expected = await Promise.all(bodies.map((body) => streamChat(one.url, body)));
  one.kill();
  await one.exited;

  const address = `127.0.0.1:${await probePort('127.0.0.1', 0)}`;
  const nodeArgs = (node: number): string[] => [
    ...['--tensor-parallel-size', '2', '--nnodes', '2', '--node-rank', String(node), '--master-address', address],
    ...['--max-num-seqs', '8', '--collective-timeout', '3'],
  ];
  const env = { TROUPE_GROUP_SECRET: 'a secret' };
  const leader = startServer(t, nodeArgs(0), env);
  const isWaiting = (line: { msg?: string; stage?: unknown }): boolean => JSON.stringify(line).includes('waiting for rank 1 of 2 (node 1)');
  while (!leader.logs.some(isWaiting)) await leader.tick('waiting for the line about node 1');

  const stranger = await runTroupe(['serve', '--log-format', 'json', ...nodeArgs(1)], { TROUPE_GROUP_SECRET: 'another' });
  assert.equal(stranger.code, 2);
  assert.match(stranger.stderr, /refused this node: the group secret differs/);

  const follower = startServer(t, nodeArgs(1), env);
  await leader.ready();
  const ask = () => Promise.all(bodies.map((body) => streamChat(leader.url, body)));
  const texts = await ask();
  t.diagnostic(`${bodies.length} texts by two nodes: ${numNearTies(expected, texts, bodies)} differ from a near tie on`);

  for (const victim of [follower, leader] as Server[]) {
    const before = victim.pidOf('engine');
    assert.ok(before);
    let numChunks = 0;
    const faulted = await Promise.all(
      bodies.map((body) =>
        streamChat(leader.url, body, () => {
          if (++numChunks === 10 * bodies.length) victim.killProcess('engine');
        }),
      ),
    );
    assert.notEqual(victim.pidOf('engine'), before, 'the engine really was replaced');
    t.diagnostic(
      `after the death of ${victim === leader ? 'node 0' : 'node 1'}: ${numNearTies(texts, faulted, bodies)} differ from a near tie on`,
    );
  }

  const before = leader.pidOf('engine');
  const frozen = follower.pidOf('engine')!;
  let numChunks = 0;
  const faulted = Promise.all(
    bodies.map((body) =>
      streamChat(leader.url, body, () => {
        if (++numChunks === 10 * bodies.length) process.kill(frozen, 'SIGSTOP');
      }),
    ),
  );
  while (leader.pidOf('engine') === before) await leader.tick('waiting for the group to end by its deadline');
  const deadlineLine = leader.logs.find((line) => /Rank 1 did not answer rank 0 within 3000 ms/.test(JSON.stringify(line)));
  assert.ok(deadlineLine, 'the deadline of the exchange ended the group');
  process.kill(frozen, 'SIGCONT');
  t.diagnostic(`over a frozen node 1: ${numNearTies(texts, await faulted, bodies)} differ from a near tie on`);
});
