/**
 * The decoder that all dense families share, as an ONNX graph. It runs in two shapes: a decode batch, one token for each of the
 * first B rows of the KV cache, or a prefill chunk, S tokens of one row.
 *
 *   input_ids [B, S] → embedding → per layer: norm → Q K V → (Q/K norm) → attention with rotation, KV cache in place → output → + residual
 *                                             norm → gate, up → SiLU(gate) · up → down → + residual
 *   → the rows that `logit_rows` asks for → norm → hidden [R, hiddenSize] → LM head → logits [R, vocabSize]
 *
 * Only the last layer's attention needs every position (later ones read its keys and values): what follows it runs on R rows.
 *
 * A rank of several computes with its own heads and columns. Attention output and down then give partial sums: AllGather fetches those
 * of all ranks, and their sum in rank order is the same on each. Logits are gathered on rank 0.
 */

import { type HeadLayout, headLayout, padHeads } from '../../checkpoint/head-layout.ts';
import type { ModelConfig } from '../../checkpoint/model-config.ts';
import type { StoredTensor } from '../../checkpoint/safetensors.ts';
import { lengthOf, type Shard } from '../../checkpoint/shard.ts';
import { type LayerWeights, readFloat32, type Weights } from '../../checkpoint/weights.ts';
import { COLLECTIVE_DOMAIN } from '../collective/custom-ops.ts';
import type { LinearWeights } from './linear.ts';
import { MICROSOFT, ONNX_TYPE, OnnxWriter } from './onnx-writer.ts';
import { ropeTables } from './rope.ts';

/** The graph's inputs and outputs by name; keys and values have one of each per layer. */
export const TENSORS = {
  inputIds: 'input_ids', // int32 [B, S]
  seqlens: 'seqlens_k', // int32 [B]: position of each row's last token
  totalLength: 'total_sequence_length', // int32 [1]: the longest row, its new tokens included
  logitRows: 'logit_rows', // int32 [R]: indices into the B · S positions
  hidden: 'hidden', // float32 [R, hiddenSize]
  logits: 'logits', // float32 [R, vocabSize]
  pastKey: (layer: number) => `past_key.${layer}`, // float32 [B, numKvHeads, capacity, paddedHeadDim]
  pastValue: (layer: number) => `past_value.${layer}`,
  presentKey: (layer: number) => `present_key.${layer}`,
  presentValue: (layer: number) => `present_value.${layer}`,
} as const;

/**
 * A model's graph, serialised. `capacity`: positions that a row of the KV cache holds. With a shard, `config` and `weights` are the
 * rank's own (see shard.ts).
 */
export function buildDecoder(
  config: ModelConfig,
  weights: Weights,
  linear: LinearWeights,
  capacity: number,
  shard: Shard | null = null,
): Uint8Array {
  return new DecoderBuilder(config, weights, linear, capacity, shard).build();
}

class DecoderBuilder {
  readonly #graph = new OnnxWriter();
  readonly #config: ModelConfig;
  readonly #weights: Weights;
  readonly #linear: LinearWeights;
  readonly #capacity: number;
  readonly #heads: HeadLayout;
  readonly #shard: Shard | null;

  constructor(config: ModelConfig, weights: Weights, linear: LinearWeights, capacity: number, shard: Shard | null) {
    this.#config = config;
    this.#weights = weights;
    this.#linear = linear;
    this.#capacity = capacity;
    this.#heads = headLayout(config);
    this.#shard = shard;
  }

  build(): Uint8Array {
    const graph = this.#graph;
    this.#declareInputs();
    let residual = this.#embed();
    let normed = this.#norm(residual, 'layers.0.input_norm', this.#weights.layers[0]!.inputNorm);
    for (const [i, layer] of this.#weights.layers.entries()) {
      const isLast = i === this.#config.numLayers - 1;
      let attention = this.#attention(normed, i, layer);
      if (isLast) {
        attention = this.#takeLogitRows(attention, 'last_attention', this.#config.numHeads * this.#heads.paddedHeadDim);
        residual = this.#takeLogitRows(residual, 'last_residual', this.#config.hiddenSize);
      }
      const rows = isLast ? [1, 'rows'] : ['batch', 'sequence'];
      const attended = this.#summedLayer(attention, `layers.${i}.o`, layer.attentionOutput.bias, rows);
      [normed, residual] = this.#addAndNorm(attended, residual, `layers.${i}.post_attention_norm`, layer.postAttentionNorm);
      const mlp = this.#mlp(normed, i, layer, rows);
      const nextNorm = isLast ? this.#weights.finalNorm : this.#weights.layers[i + 1]!.inputNorm;
      const name = isLast ? TENSORS.hidden : `layers.${i + 1}.input_norm`;
      [normed, residual] = this.#addAndNorm(mlp, residual, name, nextNorm);
    }
    this.#logits(normed);
    this.#declareOutputs();
    return graph.finish();
  }

  #embed(): string {
    const table = this.#linear.embedding(this.#graph);
    const rows = this.#graph.node('Gather', [table.name, TENSORS.inputIds], 'embedded');
    if (table.type === 'float32') return rows;
    return this.#graph.node('Cast', [rows], 'embedded.f32', { to: BigInt(ONNX_TYPE.float32) });
  }

  #attention(input: string, index: number, layer: LayerWeights): string {
    const { numHeads, numKvHeads, rope, slidingWindows } = this.#config;
    const prefix = `layers.${index}`;
    const window = slidingWindows[index] ?? null;
    return this.#graph.node(
      'GroupQueryAttention',
      [
        ...this.#queryKeyValue(input, prefix, layer),
        TENSORS.pastKey(index),
        TENSORS.pastValue(index),
        TENSORS.seqlens,
        TENSORS.totalLength,
        'rope_cos',
        'rope_sin',
      ],
      [`${prefix}.attention`, TENSORS.presentKey(index), TENSORS.presentValue(index)],
      {
        num_heads: BigInt(numHeads),
        kv_num_heads: BigInt(numKvHeads),
        scale: 1 / Math.sqrt(this.#heads.headDim),
        do_rotary: 1n,
        rotary_interleaved: rope.interleaved ? 1n : 0n,
        ...(window !== null && { local_window_size: BigInt(window) }),
      },
      MICROSOFT,
    );
  }

  /** Q, K and V as attention takes them: one packed tensor and two absent ones, or three. */
  #queryKeyValue(input: string, prefix: string, layer: LayerWeights): [string, string, string] {
    const { numHeads, numKvHeads, qkNorm } = this.#config;
    const { paddedHeadDim } = this.#heads;
    const headBias = (bias: StoredTensor | null) => (bias === null ? null : padHeads(readFloat32(bias), bias.shape[0]!, 1, 0, this.#heads));
    const biases = [layer.q, layer.k, layer.v].map(({ bias }) => headBias(bias));
    let parts: [string, string, string];
    if (this.#linear.isFused) {
      const qkv = this.#biased(this.#linear.matmul(this.#graph, input, `${prefix}.qkv`), `${prefix}.qkv`, joined(biases));
      if (!qkNorm) return [qkv, '', ''];
      parts = [`${prefix}.q`, `${prefix}.k`, `${prefix}.v`];
      const sizes = this.#graph.shape(numHeads * paddedHeadDim, numKvHeads * paddedHeadDim, numKvHeads * paddedHeadDim);
      this.#graph.node('Split', [qkv, sizes], parts, { axis: -1n });
    } else {
      parts = (['q', 'k', 'v'] as const).map((part, i) => {
        const key = `${prefix}.${part}`;
        return this.#biased(this.#linear.matmul(this.#graph, input, key), key, biases[i]!);
      }) as [string, string, string];
    }
    if (layer.qNorm === null || layer.kNorm === null) return parts;
    return [
      this.#headNorm(parts[0], `${prefix}.q_norm`, layer.qNorm, numHeads),
      this.#headNorm(parts[1], `${prefix}.k_norm`, layer.kNorm, numKvHeads),
      parts[2],
    ];
  }

  /**
   * RMS norm of each head. A padded head has the same sum of squares over more dimensions, so with p = padded / real size:
   * w · x / √(sum / n + eps) = (w / √p) · x / √(sum / (n · p) + eps / p).
   */
  #headNorm(input: string, key: string, weight: StoredTensor, numHeads: number): string {
    const { headDim, paddedHeadDim } = this.#heads;
    const growth = paddedHeadDim / headDim;
    const values = padHeads(readFloat32(weight), headDim, 1, 0, this.#heads).map((value) => value / Math.sqrt(growth));
    const scale = this.#graph.constant(`${key}.weight`, values, [paddedHeadDim]);
    const heads = this.#graph.node('Reshape', [input, this.#graph.shape(0, 0, numHeads, paddedHeadDim)], `${key}.heads`);
    const attributes = { axis: -1n, epsilon: this.#config.rmsNormEps / growth };
    const normed = this.#graph.node('SimplifiedLayerNormalization', [heads, scale], `${key}.normed`, attributes);
    return this.#graph.node('Reshape', [normed, this.#graph.shape(0, 0, numHeads * paddedHeadDim)], `${key}.out`);
  }

  #mlp(input: string, index: number, layer: LayerWeights, rows: readonly (string | number)[]): string {
    const prefix = `layers.${index}`;
    const [gate, up] = this.#gateUp(input, prefix, layer);
    // QuickGelu is x · sigmoid(alpha · x): SiLU with alpha 1, in one pass.
    const activated = this.#graph.node('QuickGelu', [gate], `${prefix}.silu`, { alpha: 1 }, MICROSOFT);
    const gated = this.#graph.node('Mul', [activated, up], `${prefix}.gated`);
    return this.#summedLayer(gated, `${prefix}.down`, layer.down.bias, rows);
  }

  #gateUp(input: string, prefix: string, layer: LayerWeights): [gate: string, up: string] {
    if (!this.#linear.isFused) {
      return [this.#linearLayer(input, `${prefix}.gate`, layer.gate.bias), this.#linearLayer(input, `${prefix}.up`, layer.up.bias)];
    }
    const key = `${prefix}.gate_up`;
    const bias = joined([layer.gate, layer.up].map(({ bias }) => (bias === null ? null : readFloat32(bias))));
    const both = this.#biased(this.#linear.matmul(this.#graph, input, key), key, bias);
    const parts: [gate: string, up: string] = [`${prefix}.gate`, `${prefix}.up`];
    const { intermediateSize } = this.#config;
    this.#graph.node('Split', [both, this.#graph.shape(intermediateSize, intermediateSize)], parts, { axis: -1n });
    return parts;
  }

  /** A layer whose inputs are cut: the ranks' results are parts of a sum, and the bias comes once, behind it. `rows`: the sum's shape before hiddenSize. */
  #summedLayer(input: string, key: string, bias: StoredTensor | null, rows: readonly (string | number)[]): string {
    if (this.#shard === null) return this.#linearLayer(input, key, bias);
    const partial = this.#linear.matmul(this.#graph, input, key);
    const all = this.#graph.node('AllGather', [partial], `${key}.all`, {}, COLLECTIVE_DOMAIN);
    const sum = this.#graph.node('ReduceSum', [all, this.#graph.shape(0)], `${key}.sum`, { keepdims: 0n });
    this.#graph.annotate(sum, 'float32', [...rows, this.#config.hiddenSize]);
    return this.#biased(sum, key, bias === null ? null : readFloat32(bias));
  }

  #logits(input: string): void {
    if (this.#shard === null) {
      this.#linear.matmul(this.#graph, input, 'lm_head', TENSORS.logits);
      return;
    }
    const part = this.#linear.matmul(this.#graph, input, 'lm_head', 'lm_head.part');
    this.#graph.node('GatherColumns', [part], TENSORS.logits, {}, COLLECTIVE_DOMAIN);
  }

  #linearLayer(input: string, key: string, bias: StoredTensor | null): string {
    return this.#biased(this.#linear.matmul(this.#graph, input, key), key, bias === null ? null : readFloat32(bias));
  }

  #biased(input: string, key: string, bias: Float32Array | null): string {
    if (bias === null) return input;
    return this.#graph.node('Add', [input, this.#graph.constant(`${key}.bias`, bias, [bias.length])], `${key}.biased`);
  }

  #norm(input: string, key: string, weight: StoredTensor): string {
    const attributes = { axis: -1n, epsilon: this.#config.rmsNormEps };
    return this.#graph.node('SimplifiedLayerNormalization', [input, this.#normWeight(key, weight)], key, attributes);
  }

  /** norm(input + residual), and the sum as the next residual. */
  #addAndNorm(input: string, residual: string, key: string, weight: StoredTensor): [normed: string, residual: string] {
    const inputs = [input, residual, this.#normWeight(key, weight)];
    const outputs = [key, '', '', `${key}.residual`];
    this.#graph.node('SkipSimplifiedLayerNormalization', inputs, outputs, { epsilon: this.#config.rmsNormEps }, MICROSOFT);
    return [key, `${key}.residual`];
  }

  #normWeight(key: string, weight: StoredTensor): string {
    return this.#graph.constant(`${key}.weight`, readFloat32(weight), weight.shape);
  }

  /** [B, S, size] → [1, R, size]: the positions whose logits are wanted. */
  #takeLogitRows(input: string, key: string, size: number): string {
    const flat = this.#graph.node('Reshape', [input, this.#graph.shape(1, -1, size)], `${key}.flat`);
    return this.#graph.node('Gather', [flat, TENSORS.logitRows], `${key}.rows`, { axis: 1n });
  }

  #declareInputs(): void {
    const { numKvHeads } = this.#config;
    const cache = ['batch', numKvHeads, this.#capacity, this.#heads.paddedHeadDim];
    this.#graph.input(TENSORS.inputIds, 'int32', ['batch', 'sequence']);
    this.#graph.input(TENSORS.seqlens, 'int32', ['batch']);
    this.#graph.input(TENSORS.totalLength, 'int32', [1]);
    this.#graph.input(TENSORS.logitRows, 'int32', ['rows']);
    for (let i = 0; i < this.#config.numLayers; i++) {
      this.#graph.input(TENSORS.pastKey(i), 'float32', cache);
      this.#graph.input(TENSORS.pastValue(i), 'float32', cache);
      this.#graph.output(TENSORS.presentKey(i), 'float32', cache);
      this.#graph.output(TENSORS.presentValue(i), 'float32', cache);
    }
    const width = this.#heads.paddedHeadDim / 2;
    const { cos, sin } = ropeTables(this.#config.rope, this.#heads.headDim, this.#capacity, width);
    this.#graph.constant('rope_cos', cos, [this.#capacity, width]);
    this.#graph.constant('rope_sin', sin, [this.#capacity, width]);
  }

  #declareOutputs(): void {
    this.#graph.output(TENSORS.hidden, 'float32', [1, 'rows', this.#config.hiddenSize]);
    this.#graph.output(TENSORS.logits, 'float32', [1, 'rows', logitWidth(this.#config, this.#shard)]);
  }
}

/** Columns of a rank's logits: all on rank 0, elsewhere its own. */
export function logitWidth(config: ModelConfig, shard: Shard | null): number {
  return shard === null || shard.rank === 0 ? config.vocabSize : lengthOf(shard.vocab[shard.rank]!);
}

function joined(parts: readonly (Float32Array | null)[]): Float32Array | null {
  const present = parts.filter((part) => part !== null);
  if (present.length === 0) return null;
  const whole = new Float32Array(present.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of present) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
