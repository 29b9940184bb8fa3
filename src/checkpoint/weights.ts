/** Hugging Face tensor names → the tensors of a decoder, each checked against the config before anything is loaded. */
import { closeSync, openSync, readSync } from 'node:fs';
import { StartupError } from '../core/errors.ts';
import { toFloat32 } from './float-formats.ts';
import type { ModelConfig } from './model-config.ts';
import type { StoredTensor, TensorDirectory } from './safetensors.ts';

/** A linear layer: y = x · weightᵀ + bias, weight [out, in] as checkpoints store it. */
export interface Linear {
  readonly weight: StoredTensor;
  readonly bias: StoredTensor | null;
}

export interface LayerWeights {
  readonly inputNorm: StoredTensor;
  readonly q: Linear;
  readonly k: Linear;
  readonly v: Linear;
  /** [headDim] each; null without Q/K norms. */
  readonly qNorm: StoredTensor | null;
  readonly kNorm: StoredTensor | null;
  readonly attentionOutput: Linear;
  readonly postAttentionNorm: StoredTensor;
  readonly gate: Linear;
  readonly up: Linear;
  readonly down: Linear;
}

export interface Weights {
  /** [vocabSize, hiddenSize] */
  readonly embedding: StoredTensor;
  readonly layers: readonly LayerWeights[];
  readonly finalNorm: StoredTensor;
  /** [vocabSize, hiddenSize]; the embedding itself when tied. */
  readonly lmHead: StoredTensor;
}

/** @throws StartupError naming file and tensor when one is missing or has another shape or type than the config says. */
export function bindWeights(config: ModelConfig, directory: TensorDirectory, dir: string): Weights {
  const { hiddenSize, intermediateSize, vocabSize, headDim } = config;
  const qSize = config.numHeads * headDim;
  const kvSize = config.numKvHeads * headDim;
  const tensor = (name: string, ...shape: number[]): StoredTensor => takeTensor(directory, dir, name, shape);
  const linear = (name: string, out: number, inputs: number, hasBias: boolean): Linear => ({
    weight: tensor(`${name}.weight`, out, inputs),
    bias: hasBias ? tensor(`${name}.bias`, out) : null,
  });
  const layer = (index: number): LayerWeights => {
    const prefix = `model.layers.${index}`;
    const attention = `${prefix}.self_attn`;
    return {
      inputNorm: tensor(`${prefix}.input_layernorm.weight`, hiddenSize),
      q: linear(`${attention}.q_proj`, qSize, hiddenSize, config.biases.qkv),
      k: linear(`${attention}.k_proj`, kvSize, hiddenSize, config.biases.qkv),
      v: linear(`${attention}.v_proj`, kvSize, hiddenSize, config.biases.qkv),
      qNorm: config.qkNorm ? tensor(`${attention}.q_norm.weight`, headDim) : null,
      kNorm: config.qkNorm ? tensor(`${attention}.k_norm.weight`, headDim) : null,
      attentionOutput: linear(`${attention}.o_proj`, hiddenSize, qSize, config.biases.attentionOutput),
      postAttentionNorm: tensor(`${prefix}.post_attention_layernorm.weight`, hiddenSize),
      gate: linear(`${prefix}.mlp.gate_proj`, intermediateSize, hiddenSize, config.biases.mlp),
      up: linear(`${prefix}.mlp.up_proj`, intermediateSize, hiddenSize, config.biases.mlp),
      down: linear(`${prefix}.mlp.down_proj`, hiddenSize, intermediateSize, config.biases.mlp),
    };
  };
  const embedding = tensor('model.embed_tokens.weight', vocabSize, hiddenSize);
  return {
    embedding,
    layers: Array.from({ length: config.numLayers }, (_, index) => layer(index)),
    finalNorm: tensor('model.norm.weight', hiddenSize),
    lmHead: config.tieWordEmbeddings ? embedding : tensor('lm_head.weight', vocabSize, hiddenSize),
  };
}

/** Every linear layer of the decoder, in order of use, LM head last. */
export function linearLayers(weights: Weights): Linear[] {
  const perLayer = weights.layers.flatMap(({ q, k, v, attentionOutput, gate, up, down }) => [q, k, v, attentionOutput, gate, up, down]);
  return [...perLayer, { weight: weights.lmHead, bias: null }];
}

/** Every tensor that the decoder reads, each once. */
export function allTensors(weights: Weights): readonly StoredTensor[] {
  const norms = weights.layers.flatMap(({ inputNorm, postAttentionNorm, qNorm, kNorm }) => [inputNorm, postAttentionNorm, qNorm, kNorm]);
  const linear = linearLayers(weights).flatMap(({ weight, bias }) => [weight, bias]);
  const all = [weights.embedding, ...norms, ...linear, weights.finalNorm].filter((tensor) => tensor !== null);
  return [...new Set(all)];
}

/** A tensor's values, read from its file. @throws StartupError when the file changed under us. */
export function readFloat32(tensor: StoredTensor): Float32Array {
  return toFloat32(readBytes(tensor), tensor.dtype);
}

/** A tensor's bytes as stored. @throws StartupError when the file changed under us. */
export function readBytes(tensor: StoredTensor): Uint8Array {
  const bytes = new Uint8Array(tensor.numBytes);
  const fd = openSync(tensor.file, 'r');
  try {
    for (let done = 0; done < bytes.length; ) {
      const count = readSync(fd, bytes, done, Math.min(bytes.length - done, 1 << 30), tensor.offset + done);
      if (count === 0) throw new StartupError(`${tensor.file}: truncated while reading tensor ${tensor.name}`);
      done += count;
    }
  } finally {
    closeSync(fd);
  }
  return bytes;
}

function takeTensor(directory: TensorDirectory, dir: string, name: string, shape: readonly number[]): StoredTensor {
  const tensor = directory.get(name);
  if (tensor === undefined) {
    throw new StartupError(`${dir}: tensor ${name} [${shape.join(', ')}] is missing from the weights; config.json asks for it`);
  }
  if (tensor.shape.length !== shape.length || tensor.shape.some((size, axis) => size !== shape[axis])) {
    const isTransposed = tensor.shape.toReversed().join() === shape.join();
    const hint = isTransposed ? '; transposed as in Paddle checkpoints: take the -PT variant of the model' : '';
    throw new StartupError(
      `${tensor.file}: tensor ${name} has shape [${tensor.shape.join(', ')}], expected [${shape.join(', ')}] by config.json${hint}`,
    );
  }
  if (tensor.dtype !== 'BF16' && tensor.dtype !== 'F16' && tensor.dtype !== 'F32') {
    throw new StartupError(`${tensor.file}: tensor ${name} has type ${tensor.dtype}; supported are BF16, F16 and F32`);
  }
  return tensor;
}
