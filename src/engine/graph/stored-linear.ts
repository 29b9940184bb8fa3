/**
 * Linear layers of `--quantization none`: the checkpoint's own bytes, mapped from its files, cast to float32 by ONNX Runtime while
 * the session loads (constant folding) and packed for its matrix kernel.
 */

import { headLayout, isPadded } from '../../checkpoint/head-layout.ts';
import type { ModelConfig } from '../../checkpoint/model-config.ts';
import type { StoredTensor } from '../../checkpoint/safetensors.ts';
import { lengthOf, type Range, type Shard, scaled } from '../../checkpoint/shard.ts';
import type { Weights } from '../../checkpoint/weights.ts';
import { type HeadAxis, type LinearWeights, storedConstant } from './linear.ts';
import { MICROSOFT, ONNX_TYPE, type OnnxWriter } from './onnx-writer.ts';

/**
 * `hasFusedMatMul`: the provider multiplies with a transposed matrix; else the weights are transposed while the session loads.
 * With a shard, `config` and `weights` are the rank's own.
 */
export function storedLinear(config: ModelConfig, weights: Weights, hasFusedMatMul: boolean, shard: Shard | null = null): LinearWeights {
  const tensors = new Map<string, { tensor: StoredTensor; headAxis: HeadAxis; columns?: Range }>();
  const headColumns = shard && scaled(shard.heads, config.headDim);
  for (const [i, layer] of weights.layers.entries()) {
    for (const key of ['q', 'k', 'v'] as const) tensors.set(`layers.${i}.${key}`, { tensor: layer[key].weight, headAxis: 'rows' });
    tensors.set(`layers.${i}.o`, {
      tensor: layer.attentionOutput.weight,
      headAxis: 'columns',
      ...(headColumns && { columns: headColumns }),
    });
    for (const key of ['gate', 'up'] as const) tensors.set(`layers.${i}.${key}`, { tensor: layer[key].weight, headAxis: null });
    tensors.set(`layers.${i}.down`, { tensor: layer.down.weight, headAxis: null, ...(shard && { columns: shard.mlp }) });
  }
  tensors.set('lm_head', { tensor: weights.lmHead, headAxis: null });

  const embedding = (graph: OnnxWriter) => storedConstant(graph, 'embedding', weights.embedding);

  return {
    isFused: false,
    embedding,
    matmul(graph, input, key, output = `${key}.out`) {
      const { tensor, headAxis, columns } = tensors.get(key)!;
      const stored = tensor === weights.embedding ? embedding(graph) : storedConstant(graph, key, tensor);
      const float =
        stored.type === 'float32' ? stored.name : graph.node('Cast', [stored.name], `${key}.f32`, { to: BigInt(ONNX_TYPE.float32) });
      const own = columns === undefined ? float : columnsOf(graph, float, key, columns);
      const shape = columns === undefined ? tensor.shape : [tensor.shape[0]!, lengthOf(columns)];
      const weight = headAxis === null ? own : padWeight(graph, own, key, headAxis, shape, config);
      if (hasFusedMatMul) return graph.node('FusedMatMul', [input, weight], output, { transB: 1n }, MICROSOFT);
      const transposed = graph.node('Transpose', [weight], `${key}.transposed`, { perm: [1n, 0n] });
      return graph.node('MatMul', [input, transposed], output);
    },
  };
}

/** The columns of a rank, cut once, while the session loads. */
function columnsOf(graph: OnnxWriter, weight: string, key: string, { begin, end }: Range): string {
  return graph.node('Slice', [weight, graph.shape(begin), graph.shape(end), graph.shape(1)], `${key}.columns`);
}

/** The padding of head-layout.ts as operators on a constant, so that it is done once, while the session loads. */
function padWeight(
  graph: OnnxWriter,
  weight: string,
  key: string,
  axis: 'rows' | 'columns',
  shape: readonly number[],
  config: ModelConfig,
): string {
  const layout = headLayout(config);
  if (!isPadded(layout)) return weight;
  const [rows, columns] = shape as [number, number];
  const part = layout.headDim / layout.numParts;
  const padding = (layout.paddedHeadDim - layout.headDim) / layout.numParts;
  const numParts = (axis === 'rows' ? rows : columns) / part;
  const parts = axis === 'rows' ? [numParts, part, columns] : [rows, numParts, part];
  const pads = axis === 'rows' ? [0, 0, 0, 0, padding, 0] : [0, 0, 0, 0, 0, padding];
  const padded = axis === 'rows' ? [numParts * (part + padding), columns] : [rows, numParts * (part + padding)];
  const split = graph.node('Reshape', [weight, graph.shape(...parts)], `${key}.parts`);
  const grown = graph.node('Pad', [split, graph.shape(...pads)], `${key}.padded_parts`);
  return graph.node('Reshape', [grown, graph.shape(...padded)], `${key}.padded`);
}
