/**
 * kill -9 on the engine in the middle of 32 greedy and 32 seeded streams: every stream finishes with the tokens of an unfaulted run.
 * Recomputing a prefix may round differently in the last bits; a first difference is accepted only where the two best candidates (greedy),
 * or the draw and a boundary of the cumulative distribution, or the last candidate inside top_k and the first outside (seeded), lie within
 * 1e-4, and is counted and printed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { uniform } from '../../src/engine/random.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import { startServer } from '../support/server.ts';
import { type StreamedChat, streamChat } from '../support/stream-chat.ts';

const STREAMS = 32;
const TOLERANCE = 1e-4;
const TOP = 20;
const TOP_K = TOP - 1;
type Candidates = StreamedChat['logprobs'][number]['top_logprobs'];
const TEMPERATURE = 0.8;
const words = ['fox', 'owl', 'boat', 'lantern', 'garden', 'river', 'moon', 'kite'];

const bodies = [
  ...Array.from({ length: STREAMS }, (_, i) => ({ ...prompt(i), temperature: 0 })),
  ...Array.from({ length: STREAMS }, (_, i) => ({ ...prompt(i), temperature: TEMPERATURE, top_k: TOP_K, top_p: 1, seed: 1000 + i })),
];

function prompt(i: number): Record<string, unknown> {
  const content = `Tell me a story about a ${words[i % words.length]} and the number ${i}.`;
  return { messages: [{ role: 'user', content }], max_tokens: 120, ignore_eos: true, logprobs: true, top_logprobs: TOP };
}

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

  let numNearTies = 0;
  for (const [index, actual] of faulted.entries()) {
    assert.equal(actual.error, null);
    assert.equal(actual.finishReason, 'length');
    numNearTies += compare(expected[index]!, actual, bodies[index]!, index);
  }
  console.log(
    `${faulted.length} streams over a killed engine: ${numNearTies} differ from a near tie on, ${faulted.length - numNearTies} are identical`,
  );
  assert.equal(await server.status('/ready'), 200);
  const { text } = await streamChat(server.url, { messages: [{ role: 'user', content: 'Hello!' }], temperature: 0 });
  assert.ok(text.length > 0, 'new requests are served');
});

/** 0 when identical, 1 when the first difference is a near tie; fails otherwise. */
function compare(expected: StreamedChat, actual: StreamedChat, body: Record<string, unknown>, index: number): 0 | 1 {
  const at = expected.tokenIds.findIndex((id, i) => actual.tokenIds[i] !== id);
  if (at === -1) {
    assert.deepEqual(actual.tokenIds, expected.tokenIds);
    assert.equal(actual.text, expected.text);
    return 0;
  }
  const candidates = expected.logprobs[at]!.top_logprobs;
  const isGreedy = body.temperature === 0;
  const distance = isGreedy
    ? candidates[0]!.logprob - candidates[1]!.logprob
    : distanceToBoundary(candidates, Number(body.seed), expected, at);
  assert.ok(distance < TOLERANCE, `stream ${index} differs at token ${at}, where the distance to the next candidate is ${distance}`);
  return 1;
}

/** How far the draw lies from the nearest boundary of the cumulative distribution over token ids in ascending order. */
function distanceToBoundary(candidates: Candidates, seed: number, run: StreamedChat, at: number): number {
  const draw = uniform(BigInt(seed), 0, run.promptTokenIds.length + at);
  const edge = candidates[TOP_K - 1]!.logprob - candidates[TOP_K]!.logprob;
  const weights = candidates
    .slice(0, TOP_K)
    .map(({ bytes, logprob }) => ({ id: idOfBytes(bytes), weight: Math.exp(logprob / TEMPERATURE) }))
    .sort((a, b) => a.id - b.id);
  const total = weights.reduce((sum, { weight }) => sum + weight, 0);
  let cumulative = 0;
  let nearest = 1;
  for (const { weight } of weights) {
    cumulative += weight / total;
    nearest = Math.min(nearest, Math.abs(cumulative - draw));
  }
  return Math.min(nearest, edge);
}

const tokenizer = Tokenizer.load('models/troupe-mini');
const ids = new Map(Array.from({ length: tokenizer.vocabSize }, (_, id) => [tokenizer.tokenBytes(id).join(), id]));
const idOfBytes = (bytes: readonly number[]): number => ids.get(bytes.join())!;
