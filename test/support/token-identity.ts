/**
 * Whether streams over a fault say what an unfaulted run says, token by token. Recomputing a prefix may round differently in the last bits;
 * a first difference is accepted only where the two best candidates (greedy), or the draw and a boundary of the cumulative distribution, or
 * the last candidate inside top_k and the first outside (seeded), lie within 1e-4.
 */
import assert from 'node:assert/strict';
import { uniform } from '../../src/engine/random.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import type { StreamedChat } from './stream-chat.ts';

const TOLERANCE = 1e-4;
const TOP = 20;
const TOP_K = TOP - 1;
type Candidates = StreamedChat['logprobs'][number]['top_logprobs'];
const TEMPERATURE = 0.8;
const words = ['fox', 'owl', 'boat', 'lantern', 'garden', 'river', 'moon', 'kite'];

/** So many greedy and as many seeded requests, whose runs can be compared. */
export function comparableBodies(numOfEach: number, maxTokens = 120): Record<string, unknown>[] {
  const prompt = (i: number): Record<string, unknown> => {
    const content = `Tell me a story about a ${words[i % words.length]} and the number ${i}.`;
    return {
      messages: [{ role: 'user', content }],
      max_tokens: maxTokens,
      ignore_eos: true,
      logprobs: true,
      top_logprobs: TOP,
      stream_options: { include_usage: true },
    };
  };
  const each = Array.from({ length: numOfEach }, (_, i) => i);
  return [
    ...each.map((i) => ({ ...prompt(i), temperature: 0 })),
    ...each.map((i) => ({ ...prompt(i), temperature: TEMPERATURE, top_k: TOP_K, top_p: 1, seed: 1000 + i })),
  ];
}

/** @returns how many streams differ from a near tie on. @throws AssertionError for any other difference, and for streams that did not finish. */
export function numNearTies(
  expected: readonly StreamedChat[],
  actual: readonly StreamedChat[],
  bodies: readonly Record<string, unknown>[],
): number {
  let count = 0;
  for (const [index, stream] of actual.entries()) {
    assert.equal(stream.error, null);
    assert.equal(stream.finishReason, 'length');
    // Billed is what was delivered, however often it was computed (T-30).
    assert.equal(stream.usage?.completion_tokens, stream.tokenIds.length);
    assert.equal(stream.usage?.prompt_tokens, stream.promptTokenIds.length);
    count += compare(expected[index]!, stream, bodies[index]!, index);
  }
  return count;
}

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
