import type { QuantizedMatrix } from '../../src/checkpoint/quantize.ts';

/** Back to [outputs, inputs] float32: what the kernel computes with. */
export function dequantize(matrix: QuantizedMatrix, outputs: number, inputs: number): Float32Array {
  const { bits, blockSize, numBlocks, data, scales } = matrix;
  const weight = new Float32Array(outputs * inputs);
  for (let row = 0; row < outputs; row++) {
    for (let column = 0; column < inputs; column++) {
      const at = row * numBlocks * blockSize + column;
      const q = bits === 8 ? data[at]! - 128 : ((data[at >> 1]! >> (at & 1 ? 4 : 0)) & 15) - 8;
      weight[row * inputs + column] = q * scales[row * numBlocks + Math.floor(column / blockSize)]!;
    }
  }
  return weight;
}
