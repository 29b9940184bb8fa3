import assert from 'node:assert/strict';
import { test } from 'node:test';
import { philox4x32, uniform, type Words4 } from '../../src/engine/random.ts';

/** kat_vectors of Random123 1.14, `philox4x32 10`: counter, key, result. */
const KNOWN_ANSWERS: readonly (readonly [Words4, readonly [number, number], Words4])[] = [
  [
    [0, 0, 0, 0],
    [0, 0],
    [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  ],
  [
    [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    [0xffffffff, 0xffffffff],
    [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  ],
  [
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  ],
];

test('philox4x32 gives the known answers of Random123', () => {
  for (const [counter, key, expected] of KNOWN_ANSWERS) assert.deepEqual(philox4x32(counter, key), expected);
});

test('a draw is the upper 27 bits of the first word, then the upper 26 of the second', () => {
  const bits = ((0x6627e8d5n >> 5n) << 26n) | (0xe169c58dn >> 6n);
  assert.equal(uniform(0n, 0, 0), Number(bits) / 2 ** 53);
});

test('a draw differs by seed, choice and position, and a seed counts with all of its 64 bits', () => {
  const draws = [
    uniform(1n, 0, 0),
    uniform(0n, 1, 0),
    uniform(0n, 0, 1),
    uniform(1n << 63n, 0, 0),
    uniform(1n << 32n, 0, 0),
    uniform(0n, 0, 2 ** 32),
  ];
  assert.equal(new Set(draws).size, draws.length);
  assert.equal(uniform(-1n, 3, 9), uniform(2n ** 64n - 1n, 3, 9));
});

test('draws fill [0, 1) evenly', () => {
  const counts = new Int32Array(16);
  const numDraws = 16_000;
  for (let position = 0; position < numDraws; position++) {
    const draw = uniform(42n, 0, position);
    assert.ok(draw >= 0 && draw < 1);
    counts[Math.floor(draw * 16)]!++;
  }
  // Chi-squared with 15 degrees of freedom: 37.7 is the 99.9th percentile. The draws are fixed, so this never varies.
  const chiSquared = counts.reduce((sum, count) => sum + (count - numDraws / 16) ** 2 / (numDraws / 16), 0);
  assert.ok(chiSquared < 37.7, `chi-squared ${chiSquared}`);
});
