/** Random tensors that two threads can make without talking: numbers of very different sizes, so that the order of a sum shows. */
export const REDUCTION_WIDTH = 48;

export const rowsOfTensor = (index: number): number => 1 + (index % 7);

export function randomTensor(index: number, rank: number): Float32Array {
  let state = (index * 7919 + rank * 104_729 + 1) >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return Float32Array.from({ length: rowsOfTensor(index) * REDUCTION_WIDTH }, () => (next() - 0.5) * 2 ** Math.floor(next() * 24 - 12));
}
