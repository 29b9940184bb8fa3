import { windowByLayerType } from '../raw-config.ts';
import type { Family } from './family.ts';

/** Qwen 3, dense: every head of Q and K has a norm; windows as in Qwen 2. */
export const qwen3: Family = {
  modelType: 'qwen3',
  architecture: 'Qwen3ForCausalLM',
  defaults: {
    ropeTheta: 10_000,
    rmsNormEps: 1e-6,
    tieWordEmbeddings: false,
    maxPositionEmbeddings: 32_768,
    headDim: 128,
    numKvHeads: 32,
  },
  ropeInterleaved: false,
  qkNorm: true,
  biases: ({ attention_bias = false }) => ({ qkv: attention_bias, attentionOutput: attention_bias, mlp: false }),
  slidingWindow: windowByLayerType,
};
