/**
 * What one of T ranks holds of a model: attention heads and MLP columns are cut, so that each layer's two output matrices give partial
 * sums, which the ranks add up. KV heads are repeated where there are fewer than ranks. Embedding and norms are whole on every rank.
 *
 *   q, k, v, gate, up, LM head   rows (outputs)
 *   attention output, down       columns (inputs)
 */
import { StartupError } from '../core/errors.ts';
import { headLayout } from './head-layout.ts';
import type { ModelConfig } from './model-config.ts';
import { blockSizeFor, type Quantization } from './quantization.ts';
import type { StoredTensor } from './safetensors.ts';
import type { Linear, Weights } from './weights.ts';

/** From `begin` to before `end`. */
export interface Range {
  readonly begin: number;
  readonly end: number;
}

export interface Shard {
  readonly rank: number;
  readonly size: number;
  readonly heads: Range;
  readonly kvHeads: Range;
  /** Columns of the MLP. */
  readonly mlp: Range;
  /** Rows of the LM head, for each rank: their sizes may differ by one. */
  readonly vocab: readonly Range[];
}

/** @throws StartupError when the model cannot be cut into so many parts. */
export function shardOf(config: ModelConfig, rank: number, size: number, quantization: Quantization): Shard {
  checkCuts(config, size, quantization);
  const { numHeads, numKvHeads, intermediateSize, vocabSize } = config;
  const kvHead = Math.floor((rank * numKvHeads) / size);
  return {
    rank,
    size,
    heads: part(numHeads, rank, size),
    kvHeads: numKvHeads >= size ? part(numKvHeads, rank, size) : { begin: kvHead, end: kvHead + 1 },
    mlp: part(intermediateSize, rank, size),
    vocab: Array.from({ length: size }, (_, index) => part(vocabSize, index, size)),
  };
}

export const lengthOf = ({ begin, end }: Range): number => end - begin;

/** The model as this rank sees it: its own heads and columns. */
export function shardConfig(config: ModelConfig, shard: Shard): ModelConfig {
  return { ...config, numHeads: lengthOf(shard.heads), numKvHeads: lengthOf(shard.kvHeads), intermediateSize: lengthOf(shard.mlp) };
}

/**
 * The tensors that this rank reads, cut where a cut is a range of bytes. The matrices of attention output and `down` stay whole: they
 * are cut by columns, in the graph. Their biases belong behind the sum.
 */
export function shardWeights(config: ModelConfig, weights: Weights, shard: Shard): Weights {
  const heads = scaled(shard.heads, config.headDim);
  const kvHeads = scaled(shard.kvHeads, config.headDim);
  const linear = ({ weight, bias }: Linear, range: Range): Linear => ({
    weight: rowsOf(weight, range),
    bias: bias && rowsOf(bias, range),
  });
  return {
    ...weights,
    lmHead: rowsOf(weights.lmHead, shard.vocab[shard.rank]!),
    layers: weights.layers.map((layer) => ({
      ...layer,
      q: linear(layer.q, heads),
      k: linear(layer.k, kvHeads),
      v: linear(layer.v, kvHeads),
      gate: linear(layer.gate, shard.mlp),
      up: linear(layer.up, shard.mlp),
    })),
  };
}

/** Rows of a tensor, as a tensor of its own in the same file. */
export function rowsOf(tensor: StoredTensor, { begin, end }: Range): StoredTensor {
  const rowBytes = tensor.numBytes / tensor.shape[0]!;
  return {
    ...tensor,
    shape: [end - begin, ...tensor.shape.slice(1)],
    offset: tensor.offset + begin * rowBytes,
    numBytes: (end - begin) * rowBytes,
  };
}

export const scaled = ({ begin, end }: Range, factor: number): Range => ({ begin: begin * factor, end: end * factor });

const part = (whole: number, rank: number, size: number): Range => ({
  begin: Math.floor((rank * whole) / size),
  end: Math.floor(((rank + 1) * whole) / size),
});

function checkCuts(config: ModelConfig, size: number, quantization: Quantization): void {
  const { numHeads, numKvHeads, intermediateSize } = config;
  const refuse = (why: string): never => {
    throw new StartupError(`--tensor-parallel-size ${size} does not fit this model: ${why}.`);
  };
  if (numHeads % size !== 0) refuse(`its ${numHeads} attention heads cannot be divided by ${size}`);
  if (numKvHeads % size !== 0 && size % numKvHeads !== 0) refuse(`its ${numKvHeads} KV heads and ${size} ranks do not divide each other`);
  if (intermediateSize % size !== 0) refuse(`its MLP of ${intermediateSize} columns cannot be divided by ${size}`);
  if (quantization === 'none' || size === 1) return;
  const headInputs = numHeads * headLayout(config).paddedHeadDim;
  for (const [name, numInputs] of [['attention output', headInputs] as const, ['MLP', intermediateSize] as const]) {
    const blockSize = blockSizeFor(numInputs);
    if ((numInputs / size) % blockSize !== 0) {
      refuse(
        `the ${quantization} blocks of its ${name} span ${blockSize} inputs, and a rank has ${numInputs / size}; take --quantization none or fewer ranks`,
      );
    }
  }
}
