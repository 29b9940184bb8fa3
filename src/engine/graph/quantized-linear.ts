/** Linear layers of wint8 and wint4: MatMulNBits over repacked blocks, activations rounded to 8 bits block by block (each row alone). */
import { headLayout } from '../../checkpoint/head-layout.ts';
import type { ModelConfig } from '../../checkpoint/model-config.ts';
import type { WeightBits } from '../../checkpoint/quantization.ts';
import type { StoredTensor, TensorDirectory } from '../../checkpoint/safetensors.ts';
import { lengthOf, type Range, rowsOf, type Shard, scaled } from '../../checkpoint/shard.ts';
import { type LinearWeights, storedConstant } from './linear.ts';
import { MICROSOFT, type OnnxWriter } from './onnx-writer.ts';

/** Integer arithmetic where the machine has it; 0 computes in float32 and is two to seven times slower. */
const ACCURACY_LEVEL = 4n;

/** `tensors` as repack.ts names them. With a shard, `config` is the whole model's: blocks are cut after they were quantised. */
export function quantizedLinear(
  config: ModelConfig,
  tensors: TensorDirectory,
  bits: WeightBits,
  shard: Shard | null = null,
): LinearWeights {
  return {
    isFused: true,
    embedding: (graph: OnnxWriter) => storedConstant(graph, 'embedding', tensors.get('embedding')!),
    matmul(graph, input, key, output = `${key}.out`) {
      const data = tensors.get(`${key}.data`)!;
      const scales = tensors.get(`${key}.scales`)!;
      const blockBytes = data.shape[2]!;
      const blockSize = (blockBytes * 8) / bits;
      const rows = shard === null ? null : rowRanges(config, key, shard);
      const inputs = shard === null ? null : inputRange(config, key, shard);
      const blocks = inputs && scaled(inputs, 1 / blockSize);
      return graph.node(
        'MatMulNBits',
        [input, cutConstant(graph, data, rows, blocks), cutConstant(graph, scales, rows, blocks)],
        output,
        {
          K: BigInt(inputs === null ? numInputs(config, key) : lengthOf(inputs)),
          N: BigInt(rows === null ? data.shape[0]! : rows.reduce((sum, range) => sum + lengthOf(range), 0)),
          bits: BigInt(bits),
          block_size: BigInt(blockSize),
          accuracy_level: ACCURACY_LEVEL,
        },
        MICROSOFT,
      );
    },
  };
}

/** The rows of a fused matrix that a rank has; null = all. */
function rowRanges(config: ModelConfig, key: string, shard: Shard): readonly Range[] | null {
  const { numHeads, numKvHeads, intermediateSize } = config;
  const { paddedHeadDim } = headLayout(config);
  const moved = ({ begin, end }: Range, by: number): Range => ({ begin: begin + by, end: end + by });
  if (key === 'lm_head') return [shard.vocab[shard.rank]!];
  if (key.endsWith('.gate_up')) return [shard.mlp, moved(shard.mlp, intermediateSize)];
  if (!key.endsWith('.qkv')) return null;
  const heads = [shard.heads, moved(shard.kvHeads, numHeads), moved(shard.kvHeads, numHeads + numKvHeads)];
  return heads.map((range) => scaled(range, paddedHeadDim));
}

/** The inputs of a matrix that a rank has; null = all. */
function inputRange(config: ModelConfig, key: string, shard: Shard): Range | null {
  if (key.endsWith('.o')) return scaled(shard.heads, headLayout(config).paddedHeadDim);
  return key.endsWith('.down') ? shard.mlp : null;
}

/** Rows are ranges of the file; several, and columns of blocks, are put together once, while the session loads. */
function cutConstant(graph: OnnxWriter, tensor: StoredTensor, rows: readonly Range[] | null, blocks: Range | null): string {
  const { name } = tensor;
  if (rows !== null) {
    const parts = rows.map((range, i) => storedConstant(graph, rows.length === 1 ? name : `${name}.${i}`, rowsOf(tensor, range)).name);
    return parts.length === 1 ? parts[0]! : graph.node('Concat', parts, `${name}.rows`, { axis: 0n });
  }
  const whole = storedConstant(graph, name, tensor).name;
  if (blocks === null) return whole;
  return graph.node('Slice', [whole, graph.shape(blocks.begin), graph.shape(blocks.end), graph.shape(1)], `${name}.columns`);
}

function numInputs(config: ModelConfig, key: string): number {
  if (key.endsWith('.o')) return config.numHeads * headLayout(config).paddedHeadDim;
  return key.endsWith('.down') ? config.intermediateSize : config.hiddenSize;
}
