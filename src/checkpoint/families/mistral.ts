import type { Family } from './family.ts';

/** Mistral 7B and its dense relatives: Llama's layout with a sliding window in every layer, unless the config says null. */
export const mistral: Family = {
  modelType: 'mistral',
  architecture: 'MistralForCausalLM',
  defaults: {
    ropeTheta: 10_000,
    rmsNormEps: 1e-6,
    tieWordEmbeddings: false,
    maxPositionEmbeddings: 131_072,
    headDim: null,
    numKvHeads: 8,
  },
  ropeInterleaved: false,
  qkNorm: false,
  biases: () => ({ qkv: false, attentionOutput: false, mlp: false }),
  slidingWindow: ({ sliding_window = 4096 }) => sliding_window,
};
