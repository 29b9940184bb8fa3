import type { Family } from './family.ts';

/** Meta Llama 2 and 3, and the many models that follow their layout. */
export const llama: Family = {
  modelType: 'llama',
  architecture: 'LlamaForCausalLM',
  defaults: {
    ropeTheta: 10_000,
    rmsNormEps: 1e-6,
    tieWordEmbeddings: false,
    maxPositionEmbeddings: 2048,
    headDim: null,
    numKvHeads: null,
  },
  ropeInterleaved: false,
  qkNorm: false,
  biases: ({ attention_bias = false, mlp_bias = false }) => ({ qkv: attention_bias, attentionOutput: attention_bias, mlp: mlp_bias }),
  slidingWindow: () => null,
};
