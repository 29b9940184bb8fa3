/** FastDeploy's names for weight-only quantisation, and the sizes they lead to. */
export const QUANTIZATIONS = ['none', 'wint8', 'wint4'] as const;
export type Quantization = (typeof QUANTIZATIONS)[number];
/** Bits of one weight. */
export type WeightBits = 4 | 8;

/**
 * Weights that share a scale, by number of inputs: 128 where that fits (the kernels are more than twice as fast as with 32), else the
 * largest smaller block that wastes nothing. The last block of a row may be partly empty.
 */
export function blockSizeFor(numInputs: number): number {
  const fitting = [128, 64, 32].find((size) => numInputs % size === 0);
  return fitting ?? (numInputs > 1024 ? 128 : 32);
}

export function weightBits(quantization: Exclude<Quantization, 'none'>): WeightBits {
  return quantization === 'wint4' ? 4 : 8;
}

/** Bytes of a quantised [outputs, inputs] matrix with its float32 scales. */
export function matmulNBitsBytes(outputs: number, inputs: number, quantization: Exclude<Quantization, 'none'>): number {
  const blockSize = blockSizeFor(inputs);
  const numBlocks = Math.ceil(inputs / blockSize);
  return outputs * numBlocks * ((blockSize * weightBits(quantization)) / 8 + 4);
}
