/** Linear layers of wint8 and wint4: MatMulNBits over repacked blocks, activations rounded to 8 bits block by block (each row alone). */
import { headLayout } from '../../checkpoint/head-layout.ts';
import type { ModelConfig } from '../../checkpoint/model-config.ts';
import type { WeightBits } from '../../checkpoint/quantization.ts';
import type { TensorDirectory } from '../../checkpoint/safetensors.ts';
import { type LinearWeights, storedConstant } from './linear.ts';
import { MICROSOFT, type OnnxWriter } from './onnx-writer.ts';

/** Integer arithmetic where the machine has it; 0 computes in float32 and is two to seven times slower. */
const ACCURACY_LEVEL = 4n;

/** `tensors` as repack.ts names them. */
export function quantizedLinear(config: ModelConfig, tensors: TensorDirectory, bits: WeightBits): LinearWeights {
  return {
    isFused: true,
    embedding: (graph: OnnxWriter) => storedConstant(graph, 'embedding', tensors.get('embedding')!),
    matmul(graph, input, key, output = `${key}.out`) {
      const data = tensors.get(`${key}.data`)!;
      const scales = tensors.get(`${key}.scales`)!;
      const [outputs, , blockBytes] = data.shape as [number, number, number];
      return graph.node(
        'MatMulNBits',
        [input, storedConstant(graph, data.name, data).name, storedConstant(graph, scales.name, scales).name],
        output,
        {
          K: BigInt(numInputs(config, key)),
          N: BigInt(outputs),
          bits: BigInt(bits),
          block_size: BigInt((blockBytes * 8) / bits),
          accuracy_level: ACCURACY_LEVEL,
        },
        MICROSOFT,
      );
    },
  };
}

function numInputs(config: ModelConfig, key: string): number {
  if (key.endsWith('.o')) return config.numHeads * headLayout(config).paddedHeadDim;
  return key.endsWith('.down') ? config.intermediateSize : config.hiddenSize;
}
