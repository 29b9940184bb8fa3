import type { Family } from './family.ts';

/** Baidu ERNIE 4.5, dense: rotates neighbouring pairs; `use_bias` puts a bias on every linear layer but the LM head. */
export const ernie45: Family = {
  modelType: 'ernie4_5',
  architecture: 'Ernie4_5ForCausalLM',
  defaults: {
    ropeTheta: 500_000,
    rmsNormEps: 1e-5,
    tieWordEmbeddings: true,
    maxPositionEmbeddings: 131_072,
    headDim: 128,
    numKvHeads: 2,
  },
  ropeInterleaved: true,
  qkNorm: false,
  biases: ({ use_bias = false }) => ({ qkv: use_bias, attentionOutput: use_bias, mlp: use_bias }),
  slidingWindow: () => null,
};
