/** T-24 over real networks: a tensor parallel group of two nodes, each with its own network, beside an engine that has nothing to do with it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startNatsServer } from '../support/nats-server.ts';
import { Network } from '../support/network.ts';
import { startServer } from '../support/server.ts';
import { streamChat } from '../support/stream-chat.ts';
import { comparableBodies, numNearTies } from '../support/token-identity.ts';

const bodies = comparableBodies(8, 60);

test('--tensor-parallel-size 2 --nnodes 2 across two networks; the wire between the ranks is cut: its group starts anew, no token changes, others are untouched', async (t) => {
  const network = new Network(t);
  const nats = await startNatsServer(t, { host: network.address });
  const flags = ['--nats', nats.url, '--max-num-seqs', '16', '--threads', '1'];
  const nodes = [network.addNode(t), network.addNode(t)];
  const group = [
    '--tensor-parallel-size',
    '2',
    '--nnodes',
    '2',
    '--master-address',
    `${nodes[0]!.address}:7000`,
    '--collective-timeout',
    '2',
  ];
  const secret = { TROUPE_GROUP_SECRET: 'a secret' };
  const ranks = nodes.map((node, rank) =>
    startServer(t, ['engine', ...flags, ...group, '--node-rank', String(rank), '--node-name', `pair-${rank}`], secret, node.prefix),
  );
  const frontend = await startServer(t, ['frontend', ...flags, '--node-name', 'front']).ready();
  const ask = (onChunk: () => void = () => {}) => Promise.all(bodies.map((body) => streamChat(frontend.url, body, onChunk)));
  const expected = await ask();

  const bystander = startServer(t, ['engine', ...flags, '--node-name', 'single']);
  await bystander.logged('serving');
  const bystanderPid = bystander.pidOf('engine');
  const pid = ranks[0]!.pidOf('engine');
  let numChunks = 0;
  let cutAt = 0;
  const own = ask(() => {
    if (++numChunks !== 10 * bodies.length) return;
    cutAt = performance.now();
    nodes[1]!.cut();
  });
  while (cutAt === 0 || ranks[0]!.pidOf('engine') === pid) await frontend.tick('waiting for the group to end');
  const endedMs = performance.now() - cutAt;
  nodes[1]!.heal();
  const streams = await own;
  t.diagnostic(`the group ended ${endedMs.toFixed(0)} ms after the cut`);
  // The bystander computes alone and rounds differently, so only the pair itself may finish what it began.
  const begun = streams.flatMap((stream, i) => (stream.error === null ? [i] : []));
  assert.equal(begun.length, bodies.length, 'no stream failed');
  t.diagnostic(`${numNearTies(expected, streams, bodies)} of ${bodies.length} differ from a near tie on`);
  assert.ok(endedMs <= 4000, 'two seconds of deadline, and the end of a process');
  assert.equal(bystander.pidOf('engine'), bystanderPid, 'the other group was not touched');
});
