/** What a quantised checkpoint consists of: the matrices that the decoder multiplies with, in MatMulNBits blocks, and the embedding. */
import { type HeadLayout, headLayout, isPadded, padHeads } from './head-layout.ts';
import type { ModelConfig } from './model-config.ts';
import { blockSizeFor, type WeightBits } from './quantization.ts';
import { quantize } from './quantize.ts';
import { DTYPE_BYTES, type StoredTensor } from './safetensors.ts';
import { readBytes, readFloat32, type Weights } from './weights.ts';

/** One tensor of the repacked file. */
export interface RepackedTensor {
  readonly name: string;
  readonly dtype: StoredTensor['dtype'];
  readonly shape: readonly number[];
}

/** A part of one tensor's bytes. */
export interface RepackedPiece {
  readonly name: string;
  /** From the tensor's start, in bytes. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** A matrix [outputs, inputs] made of stored ones, one below the other. `headAxis`: see head-layout.ts. */
interface Matrix {
  readonly key: string;
  readonly parts: readonly StoredTensor[];
  readonly headAxis: 0 | 1 | null;
}

/** Rows are read and quantised in pieces of about this many weights. */
const PIECE_WEIGHTS = 8 * 1024 * 1024;

export class Repacking {
  readonly tensors: readonly RepackedTensor[];
  readonly #embedding: StoredTensor;
  readonly #matrices: readonly Matrix[];
  readonly #layout: HeadLayout;
  readonly #bits: WeightBits;

  constructor(config: ModelConfig, weights: Weights, bits: WeightBits) {
    this.#layout = headLayout(config);
    this.#bits = bits;
    this.#embedding = weights.embedding;
    this.#matrices = [
      ...weights.layers.flatMap((layer, i): Matrix[] => [
        { key: `layers.${i}.qkv`, parts: [layer.q.weight, layer.k.weight, layer.v.weight], headAxis: 0 },
        { key: `layers.${i}.o`, parts: [layer.attentionOutput.weight], headAxis: 1 },
        { key: `layers.${i}.gate_up`, parts: [layer.gate.weight, layer.up.weight], headAxis: null },
        { key: `layers.${i}.down`, parts: [layer.down.weight], headAxis: null },
      ]),
      { key: 'lm_head', parts: [weights.lmHead], headAxis: null },
    ];
    this.tensors = [
      { name: 'embedding', dtype: this.#embedding.dtype, shape: this.#embedding.shape },
      ...this.#matrices.flatMap((matrix) => this.#tensorsOf(matrix)),
    ];
  }

  /** Everything to write, in any order, and how much of the work is done by then (0 … 1). */
  *pieces(): Generator<{ readonly piece: RepackedPiece; readonly fraction: number }> {
    const sizes = [this.#embedding, ...this.#matrices.flatMap(({ parts }) => parts)].map(numWeights);
    const total = sizes.reduce((sum, size) => sum + size, 0);
    let done = 0;
    for (const { tensor, firstRow } of slices(this.#embedding)) {
      done += numWeights(tensor);
      const offset = firstRow * this.#embedding.shape[1]! * DTYPE_BYTES[tensor.dtype];
      yield { piece: { name: 'embedding', offset, bytes: readBytes(tensor) }, fraction: done / total };
    }
    for (const matrix of this.#matrices) {
      let row = 0;
      for (const part of matrix.parts) {
        // Padding mixes rows, so such a matrix is read whole.
        const isWhole = matrix.headAxis !== null && isPadded(this.#layout);
        for (const { tensor } of isWhole ? [{ tensor: part }] : slices(part)) {
          done += numWeights(tensor);
          const { pieces, numRows } = this.#quantized(matrix, tensor, row);
          for (const piece of pieces) yield { piece, fraction: done / total };
          row += numRows;
        }
      }
    }
  }

  #quantized(matrix: Matrix, tensor: StoredTensor, firstRow: number): { pieces: RepackedPiece[]; numRows: number } {
    const [rows, columns] = tensor.shape as [number, number];
    const growth = this.#layout.paddedHeadDim / this.#layout.headDim;
    const { headAxis } = matrix;
    const stored = readFloat32(tensor);
    const weight = headAxis === null ? stored : padHeads(stored, rows, columns, headAxis, this.#layout);
    const numRows = headAxis === 0 ? rows * growth : rows;
    const { data, scales, numBlocks } = quantize(weight, numRows, headAxis === 1 ? columns * growth : columns, this.#bits);
    const scaleBytes = new Uint8Array(scales.buffer);
    return {
      numRows,
      pieces: [
        { name: `${matrix.key}.data`, offset: firstRow * (data.length / numRows), bytes: data },
        { name: `${matrix.key}.scales`, offset: firstRow * numBlocks * 4, bytes: scaleBytes },
      ],
    };
  }

  #tensorsOf({ key, parts, headAxis }: Matrix): RepackedTensor[] {
    const growth = this.#layout.paddedHeadDim / this.#layout.headDim;
    const rows = parts.reduce((sum, { shape }) => sum + shape[0]!, 0);
    const outputs = headAxis === 0 ? rows * growth : rows;
    const inputs = headAxis === 1 ? parts[0]!.shape[1]! * growth : parts[0]!.shape[1]!;
    const blockSize = blockSizeFor(inputs);
    const numBlocks = Math.ceil(inputs / blockSize);
    return [
      { name: `${key}.data`, dtype: 'U8', shape: [outputs, numBlocks, (blockSize * this.#bits) / 8] },
      { name: `${key}.scales`, dtype: 'F32', shape: [outputs, numBlocks] },
    ];
  }
}

/** A matrix in groups of rows, each a tensor of its own. */
function* slices(tensor: StoredTensor): Generator<{ readonly tensor: StoredTensor; readonly firstRow: number }> {
  const [rows, columns] = tensor.shape as [number, number];
  const rowBytes = columns * DTYPE_BYTES[tensor.dtype];
  const rowsPerSlice = Math.max(1, Math.floor(PIECE_WEIGHTS / columns));
  for (let firstRow = 0; firstRow < rows; firstRow += rowsPerSlice) {
    const numRows = Math.min(rowsPerSlice, rows - firstRow);
    const slice = { shape: [numRows, columns], offset: tensor.offset + firstRow * rowBytes, numBytes: numRows * rowBytes };
    yield { tensor: { ...tensor, ...slice }, firstRow };
  }
}

function numWeights({ shape }: StoredTensor): number {
  return shape.reduce((product, size) => product * size, 1);
}
