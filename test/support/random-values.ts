/** Reproducible values that look random, for tests. */

/** Roughly normal, mean 0 and deviation 1: sums of twelve uniform values of a 32-bit generator. */
export function normalValues(length: number, seed = 1): Float32Array {
  let state = seed >>> 0;
  const uniform = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return Float32Array.from({ length }, () => {
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += uniform();
    return sum;
  });
}
