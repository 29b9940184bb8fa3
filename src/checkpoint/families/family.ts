/**
 * What a model family says about itself. All families share one decoder: RMS norm, attention with rotary positions, gated MLP;
 * a family declares only how it differs. Everything after parsing reads ModelConfig and never asks for a family's name.
 */
import type { RawConfig } from '../raw-config.ts';

export interface Family {
  /** `model_type` in config.json. */
  readonly modelType: string;
  /** `architectures[0]` in config.json. */
  readonly architecture: string;
  /** What transformers takes where config.json is silent. */
  readonly defaults: {
    readonly ropeTheta: number;
    readonly rmsNormEps: number;
    readonly tieWordEmbeddings: boolean;
    readonly maxPositionEmbeddings: number;
    /** null = hidden size ÷ heads. */
    readonly headDim: number | null;
    /** null = as many as heads. */
    readonly numKvHeads: number | null;
  };
  /** Whether a rotation pairs neighbours (0, 1), (2, 3), … instead of the two halves of a head. */
  readonly ropeInterleaved: boolean;
  /** Whether each head of Q and K goes through a norm of its own before the rotation. */
  readonly qkNorm: boolean;
  biases(raw: RawConfig): { readonly qkv: boolean; readonly attentionOutput: boolean; readonly mlp: boolean };
  /** Positions that a layer's attention looks back on, its own included; null = all. */
  slidingWindow(raw: RawConfig, layer: number): number | null;
}
