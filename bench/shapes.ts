/**
 * Which models do the benches run? Shapes by name: the dimensions of published models, to be filled with random weights.
 * Speed depends on the dimensions and not on what the weights say, so no download is needed.
 */

export interface Shape {
  readonly name: string;
  readonly modelType: 'ernie4_5' | 'qwen3';
  readonly architecture: string;
  readonly numLayers: number;
  readonly hiddenSize: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  readonly vocabSize: number;
  readonly maxPositionEmbeddings: number;
  readonly ropeTheta: number;
  readonly rmsNormEps: number;
}

/** Dimensions as in the `config.json` of baidu/ERNIE-4.5-0.3B-PT and Qwen/Qwen3-0.6B; the tiny ones are for tests. All tie their embeddings. */
const SHAPES: readonly Shape[] = [
  {
    name: 'ernie-4.5-0.3b',
    modelType: 'ernie4_5',
    architecture: 'Ernie4_5ForCausalLM',
    numLayers: 18,
    hiddenSize: 1024,
    numHeads: 16,
    numKvHeads: 2,
    headDim: 128,
    intermediateSize: 3072,
    vocabSize: 103_424,
    maxPositionEmbeddings: 131_072,
    ropeTheta: 500_000,
    rmsNormEps: 1e-5,
  },
  {
    name: 'qwen3-0.6b',
    modelType: 'qwen3',
    architecture: 'Qwen3ForCausalLM',
    numLayers: 28,
    hiddenSize: 1024,
    numHeads: 16,
    numKvHeads: 8,
    headDim: 128,
    intermediateSize: 3072,
    vocabSize: 151_936,
    maxPositionEmbeddings: 40_960,
    ropeTheta: 1_000_000,
    rmsNormEps: 1e-6,
  },
  {
    name: 'tiny-ernie',
    modelType: 'ernie4_5',
    architecture: 'Ernie4_5ForCausalLM',
    numLayers: 2,
    hiddenSize: 64,
    numHeads: 4,
    numKvHeads: 2,
    headDim: 32,
    intermediateSize: 128,
    vocabSize: 512,
    maxPositionEmbeddings: 2048,
    ropeTheta: 500_000,
    rmsNormEps: 1e-5,
  },
  {
    name: 'tiny-qwen3',
    modelType: 'qwen3',
    architecture: 'Qwen3ForCausalLM',
    numLayers: 2,
    hiddenSize: 64,
    numHeads: 4,
    numKvHeads: 2,
    headDim: 32,
    intermediateSize: 128,
    vocabSize: 512,
    maxPositionEmbeddings: 2048,
    ropeTheta: 1_000_000,
    rmsNormEps: 1e-6,
  },
];

export const shapeNames: readonly string[] = SHAPES.map((shape) => shape.name);

/** @throws RangeError that lists the known names. */
export function shapeNamed(name: string): Shape {
  const shape = SHAPES.find((candidate) => candidate.name === name);
  if (shape === undefined) throw new RangeError(`Unknown shape "${name}"; known: ${shapeNames.join(', ')}.`);
  return shape;
}

export interface TensorSpec {
  /** The Hugging Face name. */
  readonly name: string;
  /** Row-major; linear layers are [out, in]. */
  readonly shape: readonly number[];
}

/** The tensors of the checkpoint in file order: embeddings, layers, final norm. The output layer is the embeddings (tied). */
export function tensorsOf(shape: Shape): readonly TensorSpec[] {
  const { hiddenSize: hidden, intermediateSize: intermediate, headDim } = shape;
  const tensors: TensorSpec[] = [{ name: 'model.embed_tokens.weight', shape: [shape.vocabSize, hidden] }];
  for (let layer = 0; layer < shape.numLayers; layer++) {
    const add = (name: string, ...dimensions: number[]) =>
      tensors.push({ name: `model.layers.${layer}.${name}.weight`, shape: dimensions });
    add('input_layernorm', hidden);
    add('self_attn.q_proj', shape.numHeads * headDim, hidden);
    add('self_attn.k_proj', shape.numKvHeads * headDim, hidden);
    add('self_attn.v_proj', shape.numKvHeads * headDim, hidden);
    add('self_attn.o_proj', hidden, shape.numHeads * headDim);
    if (shape.modelType === 'qwen3') {
      add('self_attn.q_norm', headDim);
      add('self_attn.k_norm', headDim);
    }
    add('post_attention_layernorm', hidden);
    add('mlp.gate_proj', intermediate, hidden);
    add('mlp.up_proj', intermediate, hidden);
    add('mlp.down_proj', hidden, intermediate);
  }
  tensors.push({ name: 'model.norm.weight', shape: [hidden] });
  return tensors;
}

export function numElements(tensor: TensorSpec): number {
  return tensor.shape.reduce((product, dimension) => product * dimension, 1);
}
