import { windowByLayerType } from '../raw-config.ts';
import type { Family } from './family.ts';

/** Qwen 2 and 2.5: a bias on Q, K and V only; windows on the upper layers where `use_sliding_window` says so. */
export const qwen2: Family = {
  modelType: 'qwen2',
  architecture: 'Qwen2ForCausalLM',
  defaults: {
    ropeTheta: 10_000,
    rmsNormEps: 1e-6,
    tieWordEmbeddings: false,
    maxPositionEmbeddings: 32_768,
    headDim: null,
    numKvHeads: 32,
  },
  ropeInterleaved: false,
  qkNorm: false,
  biases: () => ({ qkv: true, attentionOutput: false, mlp: false }),
  slidingWindow: windowByLayerType,
};
