/**
 * Attention kernels take heads whose size is a multiple of 16. A model with other heads gets zeros appended to each of them, in the
 * weights: [heads · headDim, …] becomes [heads · paddedHeadDim, …]. Zeros add nothing to any dot product, so results are the same.
 *
 * Where the rotation pairs the two halves of a head, each half is padded, so that the pairs stay pairs:
 *   halves       a0 a1 … b0 b1 …  →  a0 a1 … 0 0  b0 b1 … 0 0
 *   interleaved  a0 b0 a1 b1 …    →  a0 b0 a1 b1 … 0 0 0 0
 */
import type { ModelConfig } from './model-config.ts';

const HEAD_MULTIPLE = 16;

export interface HeadLayout {
  readonly headDim: number;
  readonly paddedHeadDim: number;
  /** Parts of a head that are padded one by one: 2 halves, or 1 whole. */
  readonly numParts: 1 | 2;
}

export function headLayout(config: ModelConfig): HeadLayout {
  const { headDim } = config;
  return { headDim, paddedHeadDim: Math.ceil(headDim / HEAD_MULTIPLE) * HEAD_MULTIPLE, numParts: config.rope.interleaved ? 1 : 2 };
}

export const isPadded = (layout: HeadLayout): boolean => layout.paddedHeadDim !== layout.headDim;

/**
 * Pads `axis` of a [rows, columns] matrix, which counts heads · headDim: axis 0 for the weights that make Q, K and V (and, as one
 * column, their biases and norms), axis 1 for the attention output's.
 */
export function padHeads(values: Float32Array, rows: number, columns: number, axis: 0 | 1, layout: HeadLayout): Float32Array {
  if (!isPadded(layout)) return values;
  const growth = layout.paddedHeadDim / layout.headDim;
  const newRows = axis === 0 ? rows * growth : rows;
  const newColumns = axis === 1 ? columns * growth : columns;
  const padded = new Float32Array(newRows * newColumns);
  for (let row = 0; row < rows; row++) {
    const newRow = axis === 0 ? paddedIndex(row, layout) : row;
    if (axis === 0) {
      padded.set(values.subarray(row * columns, (row + 1) * columns), newRow * newColumns);
      continue;
    }
    for (let column = 0; column < columns; column++) {
      padded[newRow * newColumns + paddedIndex(column, layout)] = values[row * columns + column]!;
    }
  }
  return padded;
}

/** Where dimension `index` of all heads together goes. */
function paddedIndex(index: number, { headDim, paddedHeadDim, numParts }: HeadLayout): number {
  const part = headDim / numParts;
  const paddedPart = paddedHeadDim / numParts;
  return Math.floor(index / part) * paddedPart + (index % part);
}
