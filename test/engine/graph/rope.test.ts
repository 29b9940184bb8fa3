import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inverseFrequencies, ropeTables } from '../../../src/engine/graph/rope.ts';

test('plain frequencies are theta^(-2i/d)', () => {
  const frequencies = inverseFrequencies({ theta: 10_000, scaling: { type: 'none' }, interleaved: false }, 8);
  for (const [i, expected] of [1, 0.1, 0.01, 0.001].entries()) assert(Math.abs(frequencies[i]! / expected - 1) < 1e-6);
});

test('llama3 scaling keeps short wavelengths, divides long ones, and blends between', () => {
  const scaling = { type: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositionEmbeddings: 64 } as const;
  const plain = inverseFrequencies({ theta: 10_000, scaling: { type: 'none' }, interleaved: false }, 16);
  const scaled = inverseFrequencies({ theta: 10_000, scaling, interleaved: false }, 16);
  const ratios = Array.from(scaled, (frequency, i) => frequency / plain[i]!);
  assert.equal(ratios[0], 1);
  assert.equal(ratios[7], 1 / 8);
  assert(ratios.every((ratio, i) => i === 0 || ratio <= ratios[i - 1]!));
});

test('tables hold one row a position, and turn nothing in padded columns', () => {
  const { cos, sin } = ropeTables({ theta: 10_000, scaling: { type: 'none' }, interleaved: false }, 4, 3, 4);
  assert.equal(cos.length, 12);
  assert.equal(cos[4], Math.fround(Math.cos(1)));
  assert.equal(sin[4], Math.fround(Math.sin(1)));
  assert.deepEqual([cos[6], sin[6], cos[11], sin[11]], [1, 0, 1, 0]);
});
