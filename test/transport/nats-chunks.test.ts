/** Chunks that go missing, come twice or are made up: the message is lost, and nothing is kept for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headers, type Msg } from '@nats-io/transport-node';
import { deadPeer } from '../../src/transport/nats-advisories.ts';
import { cut, type Piece, Reassembler, ReassemblyBudget } from '../../src/transport/nats-chunks.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const MAX_MESSAGE = 4000;

function makeReassembler() {
  const clock = new VirtualClock();
  const budget = new ReassemblyBudget(clock, MAX_MESSAGE);
  return { clock, budget, reassembler: new Reassembler(budget) };
}

const asMessage = ({ data, headers }: Piece): Msg => ({ data, headers }) as unknown as Msg;
/** 1,000 bytes in chunks of 488. */
const chunksOf = (sender: string, number: number, fill = 1, numBytes = 1000): Msg[] =>
  cut(new Uint8Array(numBytes).fill(fill), 1000, sender, () => number).map(asMessage);
const made = (header: string): Msg => {
  const chunkHeaders = headers();
  chunkHeaders.set('Troupe-Chunk', header);
  return asMessage({ data: new Uint8Array(10), headers: chunkHeaders });
};

test('a message that fits is left as it is, a longer one has chunks that say what they are', () => {
  const whole = cut(new Uint8Array(488), 1000, 'a/control', () => assert.fail('it is not long'));
  assert.deepEqual(whole, [{ data: new Uint8Array(488) }]);
  const chunks = cut(new Uint8Array(1000), 1000, 'a/control', () => 7);
  assert.deepEqual(
    chunks.map((chunk) => [chunk.data.byteLength, chunk.headers?.get('Troupe-Chunk')]),
    [
      [488, 'a/control 7 0 3 1000'],
      [488, 'a/control 7 1 3 1000'],
      [24, 'a/control 7 2 3 1000'],
    ],
  );
});

test('chunks of several senders may come mixed', () => {
  const { reassembler, budget } = makeReassembler();
  const [a, b] = [chunksOf('a', 1, 1), chunksOf('b', 1, 2)];
  const taken = [a[0], b[0], b[1], a[1], a[2], b[2]].map((chunk) => reassembler.take(chunk as Msg));
  assert.deepEqual(taken.slice(0, 4), [null, null, null, null]);
  assert.deepEqual(taken[4], Buffer.alloc(1000, 1));
  assert.deepEqual(taken[5], Buffer.alloc(1000, 2));
  assert.deepEqual([budget.numBytes, budget.numLost], [0, 0]);
});

for (const [title, order, numLost] of [
  ['without its first chunk', [1, 2], 0],
  ['without one in the middle', [0, 2], 1],
  ['with one twice', [0, 1, 1, 2], 1],
] as const) {
  test(`a message ${title} is lost, and the next of that sender is not`, () => {
    const { reassembler, budget } = makeReassembler();
    const chunks = chunksOf('a', 1);
    for (const index of order) assert.equal(reassembler.take(chunks[index] as Msg), null);
    const next = chunksOf('a', 2, 5).map((chunk) => reassembler.take(chunk));
    assert.deepEqual(next, [null, null, Buffer.alloc(1000, 5)]);
    assert.deepEqual([budget.numBytes, budget.numLost], [0, numLost]);
  });
}

test('a message that stops in the middle is given up when the next begins, or after a while', async () => {
  const { clock, reassembler, budget } = makeReassembler();
  reassembler.take(chunksOf('a', 1)[0] as Msg);
  assert.deepEqual(chunksOf('a', 2, 3).map((chunk) => reassembler.take(chunk))[2], Buffer.alloc(1000, 3));
  assert.equal(budget.numLost, 1);
  reassembler.take(chunksOf('dead', 1)[0] as Msg);
  assert.equal(budget.numBytes, 488);
  await clock.advance(30_000);
  assert.deepEqual([budget.numBytes, budget.numLost, clock.numTimers], [0, 2, 0]);
  assert.equal(reassembler.take(chunksOf('dead', 1)[1] as Msg), null);
});

test('unfinished messages of any number of senders hold at most four of the longest; the oldest give way', () => {
  const { reassembler, budget } = makeReassembler();
  for (let sender = 0; sender < 1000; sender++) {
    for (const chunk of chunksOf(`s${sender}`, 1).slice(0, 2)) reassembler.take(chunk);
    assert.ok(budget.numBytes <= 4 * MAX_MESSAGE);
  }
  const last = chunksOf('s999', 1)[2] as Msg;
  assert.deepEqual(reassembler.take(last), Buffer.alloc(1000, 1));
  assert.equal(reassembler.take(chunksOf('s0', 1)[2] as Msg), null);
  budget.close();
  assert.equal(budget.numBytes, 0);
});

test('headers that no sender writes are ignored', () => {
  const { reassembler, budget } = makeReassembler();
  for (const header of [
    '',
    'x',
    'a 1 0 2',
    'a 1 2 2 20',
    'a 1 -1 2 20',
    'a 1 0 2 999999999',
    'a 1 0 2 NaN',
    'a x 0 2 20',
    'a 1 0.5 2 20',
  ]) {
    const taken = reassembler.take(made(header));
    assert.ok(taken === null || header === '', header);
  }
  assert.equal(budget.numBytes, 0);
  // More bytes than it announced.
  assert.equal(reassembler.take(made('a 1 0 2 15')), null);
  assert.equal(reassembler.take(made('a 1 1 2 15')), null);
  assert.deepEqual([budget.numBytes, budget.numLost], [0, 1]);
});

test('an advisory names a dead peer only for a control connection of this cluster that ended by itself', () => {
  const advisory = (name: unknown, reason = 'Client Closed'): Uint8Array => Buffer.from(JSON.stringify({ client: { name }, reason }));
  assert.equal(deadPeer(advisory('troupe/prod/engine-0.17/control'), 'prod'), 'engine-0.17');
  assert.equal(deadPeer(advisory('troupe/prod/engine-0.17/control', 'Stale Connection'), 'prod'), 'engine-0.17');
  for (const name of ['troupe/prod/engine-0.17/bulk', 'troupe/other/engine-0.17/control', 'somebody', '', 7, undefined])
    assert.equal(deadPeer(advisory(name), 'prod'), null);
  for (const reason of ['Server Shutdown', 'Slow Consumer (Pending Bytes)', 'Authentication Expired', 'Maximum Payload Exceeded'])
    assert.equal(deadPeer(advisory('troupe/prod/engine-0.17/control', reason), 'prod'), null);
  assert.equal(deadPeer(Buffer.from('no JSON'), 'prod'), null);
  assert.equal(deadPeer(Buffer.from('null'), 'prod'), null);
});
