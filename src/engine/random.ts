/**
 * The only randomness of sampling: a counter-based generator. A number is a pure function of (seed, choice, position), so that a
 * sequence draws the same numbers alone or in a batch, before and after a preemption, and on another machine.
 *
 * Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
 */
const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const NUM_ROUNDS = 10;

/**
 * The draw for one token.
 * @param seed 64 bits; a negative seed means its two's complement.
 * @param position absolute position of the token that is drawn: prompt length + index in the output.
 * @returns a float64 in [0, 1) with 53 random bits.
 */
export function uniform(seed: bigint, choice: number, position: number): number {
  const key = BigInt.asUintN(64, seed);
  const [high, low] = philox4x32(
    [position >>> 0, Math.floor(position / 2 ** 32), choice >>> 0, 0],
    [Number(key & 0xffffffffn), Number(key >> 32n)],
  );
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
}

export type Words4 = readonly [number, number, number, number];

/** Ten rounds of Philox on a 128-bit counter with a 64-bit key; words are unsigned 32-bit, least significant first. */
export function philox4x32(counter: Words4, key: readonly [number, number]): Words4 {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < NUM_ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + WEYL_0) | 0;
    k1 = (k1 + WEYL_1) | 0;
  }
  return [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0];
}

/** The upper 32 bits of the 64-bit product of two 32-bit words. Halves keep every intermediate below 2^53. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carried = aLow * bHigh + (middle % 0x10000);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carried / 0x10000)) >>> 0;
}
