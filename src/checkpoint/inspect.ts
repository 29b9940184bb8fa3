/**
 * A model folder, checked as far as it can be without reading weights: config, tensor headers, shapes, types, sizes.
 * The supervisor does this before it starts a process, so that a bad folder is one line and exit code 2.
 */
import { type GenerationDefaults, readGenerationDefaults } from './generation-config.ts';
import { headLayout } from './head-layout.ts';
import { type ModelConfig, readModelConfig } from './model-config.ts';
import type { Quantization } from './quantization.ts';
import { matmulNBitsBytes } from './quantization.ts';
import { DTYPE_BYTES, readTensorDirectory } from './safetensors.ts';
import { allTensors, bindWeights, linearLayers, type Weights } from './weights.ts';

export interface Checkpoint {
  readonly dir: string;
  readonly config: ModelConfig;
  readonly generation: GenerationDefaults;
  readonly weights: Weights;
  /** Of the decoder, tied embeddings counted once. */
  readonly numParameters: number;
  /** Memory that the weights will take once loaded, in bytes. */
  weightBytes(quantization: Quantization): number;
  /** Memory that one position takes in the KV cache, over all layers, in bytes. */
  readonly kvBytesPerToken: number;
}

/** @throws StartupError naming the file, the tensor, what was expected and what is supported. */
export function inspectCheckpoint(dir: string): Checkpoint {
  const config = readModelConfig(dir);
  const generation = readGenerationDefaults(dir, config);
  const weights = bindWeights(config, readTensorDirectory(dir), dir);
  return {
    dir,
    config,
    generation,
    weights,
    numParameters: numParameters(weights),
    weightBytes: (quantization) => weightBytes(weights, quantization),
    kvBytesPerToken: kvBytesPerToken(config),
  };
}

/** Memory that one position takes in the KV cache, over all layers, in bytes. */
export function kvBytesPerToken(config: ModelConfig): number {
  return 2 * config.numLayers * config.numKvHeads * headLayout(config).paddedHeadDim * Float32Array.BYTES_PER_ELEMENT;
}

function weightBytes(weights: Weights, quantization: Quantization): number {
  const linear = linearLayers(weights).reduce((sum, { weight }) => {
    const [outputs, inputs] = weight.shape as [number, number];
    return sum + (quantization === 'none' ? outputs * inputs * 4 : matmulNBitsBytes(outputs, inputs, quantization));
  }, 0);
  return linear + weights.embedding.numBytes;
}

function numParameters(weights: Weights): number {
  return allTensors(weights).reduce((sum, { numBytes, dtype }) => sum + numBytes / DTYPE_BYTES[dtype], 0);
}
