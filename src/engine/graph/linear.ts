/** How the graph's linear layers get their weights: as the checkpoint stores them, or quantised. */
import { realpathSync } from 'node:fs';
import { basename } from 'node:path';
import type { StoredTensor } from '../../checkpoint/safetensors.ts';
import type { OnnxType, OnnxWriter } from './onnx-writer.ts';

/** Which axis of a weight counts heads · headDim, and so may need padding: 'rows' of Q, K, V; 'columns' of the attention output. */
export type HeadAxis = 'rows' | 'columns' | null;

export interface LinearWeights {
  /** y = x · weightᵀ (+ bias), without the bias. Returns the name of the result, [..., outputs]: `output`, or one made of the key. */
  matmul(graph: OnnxWriter, input: string, key: string, output?: string): string;
  /** The embedding table, [vocabSize, hiddenSize]: name and type. */
  embedding(graph: OnnxWriter): { readonly name: string; readonly type: OnnxType };
  /** Whether Q, K and V (and gate and up) are one matrix each. */
  readonly isFused: boolean;
}

const STORED_TYPES: Readonly<Partial<Record<StoredTensor['dtype'], OnnxType>>> = {
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  U8: 'uint8',
};

/** The tensor as a constant that stays in its file. */
export function storedConstant(graph: OnnxWriter, name: string, tensor: StoredTensor): { name: string; type: OnnxType } {
  const type = STORED_TYPES[tensor.dtype]!;
  const { offset, numBytes } = tensor;
  return { name: graph.external(name, type, tensor.shape, { location: basename(realpathSync(tensor.file)), offset, numBytes }), type };
}
