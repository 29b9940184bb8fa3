/**
 * Random weights of a shape, the same on every machine: bfloat16, uniform with the standard deviation that transformers
 * initialises with (0.02), norms all 1. Both engines of a comparison are made from these numbers.
 */
import { toBfloat16 } from './bfloat16.ts';
import { numElements, type Shape, type TensorSpec, tensorsOf } from './shapes.ts';

const STANDARD_DEVIATION = 0.02;
const CHUNK_ELEMENTS = 1 << 20;
const BFLOAT16_ONE = 0x3f80;

/** A tensor's values in row-major order, chunk by chunk. A chunk is overwritten by the next one. */
export function* randomChunks(tensor: TensorSpec, seed: number): Generator<Uint16Array> {
  const total = numElements(tensor);
  const chunk = new Uint16Array(Math.min(total, CHUNK_ELEMENTS));
  if (tensor.shape.length === 1) {
    yield chunk.fill(BFLOAT16_ONE);
    return;
  }
  let state = seed | 1; // xorshift never leaves 0
  for (let done = 0; done < total; done += chunk.length) {
    const count = Math.min(chunk.length, total - done);
    for (let index = 0; index < count; index += 2) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      chunk[index] = VALUES[state & 0xffff]!;
      chunk[index + 1] = VALUES[state >>> 16]!;
    }
    yield count === chunk.length ? chunk : chunk.subarray(0, count);
  }
}

/** Tensors with the seed of each: a tensor's values do not depend on the others, so any can be made alone. */
export function seededTensors(shape: Shape): readonly { tensor: TensorSpec; seed: number }[] {
  return tensorsOf(shape).map((tensor, index) => ({ tensor, seed: Math.imul(index + 1, 0x9e37_79b1) }));
}

/** 65,536 evenly spaced values of mean 0, as bfloat16. */
const VALUES = Uint16Array.from({ length: 1 << 16 }, (_, index) => {
  const uniform = (index + 0.5) / (1 << 16);
  return toBfloat16((2 * uniform - 1) * STANDARD_DEVIATION * Math.sqrt(3));
});
