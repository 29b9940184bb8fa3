/**
 * Weight-only quantisation into the blocks of ONNX Runtime's MatMulNBits: symmetric, one float32 scale for each block of inputs.
 *
 *   weight ≈ scale · (q - zero), zero = 8 (4 bits) or 128 (8 bits)
 *   data   [outputs][blocks][blockSize · bits / 8], two 4-bit values a byte, the lower nibble first
 *   scales [outputs][blocks]
 */
import { blockSizeFor, type WeightBits } from './quantization.ts';

export interface QuantizedMatrix {
  readonly bits: WeightBits;
  readonly blockSize: number;
  readonly numBlocks: number;
  readonly data: Uint8Array;
  readonly scales: Float32Array;
}

/** `weight` is [outputs, inputs], row-major. */
export function quantize(weight: Float32Array, outputs: number, inputs: number, bits: WeightBits): QuantizedMatrix {
  const blockSize = blockSizeFor(inputs);
  const numBlocks = Math.ceil(inputs / blockSize);
  const blockBytes = (blockSize * bits) / 8;
  const data = new Uint8Array(outputs * numBlocks * blockBytes);
  const scales = new Float32Array(outputs * numBlocks);
  const block = new Float32Array(blockSize);
  for (let row = 0; row < outputs; row++) {
    for (let i = 0; i < numBlocks; i++) {
      const start = row * inputs + i * blockSize;
      block.fill(0);
      block.set(weight.subarray(start, Math.min(start + blockSize, (row + 1) * inputs)));
      const index = row * numBlocks + i;
      const target = data.subarray(index * blockBytes, (index + 1) * blockBytes);
      scales[index] = bits === 4 ? quantizeBlock4(block, target) : quantizeBlock8(block, target);
    }
  }
  return { bits, blockSize, numBlocks, data, scales };
}

function quantizeBlock8(block: Float32Array, target: Uint8Array): number {
  const scale = Math.fround(Math.abs(extremeOf(block)) / 127);
  if (scale === 0) {
    target.fill(128);
    return 0;
  }
  const inverse = 1 / scale;
  for (let i = 0; i < block.length; i++) target[i] = block[i]! * inverse + 128.5;
  return scale;
}

/** What the value of largest magnitude is tried as: -8, or beyond the range, which clips it and serves the many small ones better. */
const STEPS_OF_EXTREME_4 = [-8, -8.8, -9.8, 7.6];

/**
 * Takes the scale with the least squared error among a few. For integers q that some scale rounds x to, the best scale is
 * s = Σqx / Σq², and its error Σx² - (Σqx)² / Σq²: one pass a candidate.
 */
function quantizeBlock4(block: Float32Array, target: Uint8Array): number {
  const extreme = extremeOf(block);
  if (extreme === 0) {
    target.fill(0x88);
    return 0;
  }
  let best = 0;
  let mostExplained = -1;
  for (const steps of STEPS_OF_EXTREME_4) {
    const inverse = steps / extreme;
    let products = 0;
    let squares = 0;
    for (let i = 0; i < block.length; i++) {
      const x = block[i]!;
      const q = toUint4(x * inverse) - 8;
      products += q * x;
      squares += q * q;
    }
    const explained = (products * products) / squares;
    if (explained > mostExplained) {
      mostExplained = explained;
      best = products / squares;
    }
  }
  const scale = Math.fround(best);
  const inverse = 1 / scale;
  for (let i = 0; i < target.length; i++) target[i] = toUint4(block[2 * i]! * inverse) | (toUint4(block[2 * i + 1]! * inverse) << 4);
  return scale;
}

/** Rounds to -8 … 7 and adds the zero point. */
function toUint4(value: number): number {
  const shifted = (value + 8.5) | 0;
  return Math.max(0, Math.min(15, shifted));
}

/** The value of largest magnitude, with its sign. */
function extremeOf(block: Float32Array): number {
  let highest = 0;
  let lowest = 0;
  for (let i = 0; i < block.length; i++) {
    const value = block[i]!;
    if (value > highest) highest = value;
    else if (value < lowest) lowest = value;
  }
  return highest > -lowest ? highest : lowest;
}
