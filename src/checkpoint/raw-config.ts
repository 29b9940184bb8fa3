/** config.json as it is written, checked for type only: what a family reads. model-config.ts turns it into a ModelConfig. */
import { z } from 'zod';

const positive = z.number().int().positive();
const ropeFields = z.looseObject({
  rope_type: z.string().optional(),
  /** The older spelling of rope_type. */
  type: z.string().optional(),
  rope_theta: z.number().positive().optional(),
  factor: z.number().positive().nullish(),
  low_freq_factor: z.number().positive().optional(),
  high_freq_factor: z.number().positive().optional(),
  original_max_position_embeddings: positive.nullish(),
  attention_factor: z.number().positive().nullish(),
  mscale: z.number().nullish(),
  mscale_all_dim: z.number().nullish(),
  beta_fast: z.number().nullish(),
  beta_slow: z.number().nullish(),
  truncate: z.boolean().optional(),
  partial_rotary_factor: z.number().positive().optional(),
});

export const rawConfigSchema = z.looseObject({
  architectures: z.array(z.string()).nullish(),
  model_type: z.string().optional(),
  hidden_size: positive,
  num_hidden_layers: positive,
  num_attention_heads: positive,
  num_key_value_heads: positive.nullish(),
  head_dim: positive.nullish(),
  intermediate_size: positive,
  vocab_size: positive,
  max_position_embeddings: positive.optional(),
  rms_norm_eps: z.number().positive().optional(),
  hidden_act: z.string().optional(),
  tie_word_embeddings: z.boolean().optional(),
  rope_theta: z.number().positive().optional(),
  rope_scaling: ropeFields.nullish(),
  /** The newer spelling of rope_theta and rope_scaling in one. */
  rope_parameters: ropeFields.nullish(),
  partial_rotary_factor: z.number().positive().optional(),
  use_bias: z.boolean().optional(),
  attention_bias: z.boolean().optional(),
  mlp_bias: z.boolean().optional(),
  use_sliding_window: z.boolean().optional(),
  sliding_window: positive.nullish(),
  max_window_layers: z.number().int().nonnegative().optional(),
  layer_types: z.array(z.string()).nullish(),
  eos_token_id: z.union([z.number().int(), z.array(z.number().int())]).nullish(),
  bos_token_id: z.number().int().nullish(),
  torch_dtype: z.string().nullish(),
  dtype: z.string().nullish(),
  quantization_config: z.looseObject({ quant_method: z.string().optional() }).nullish(),
});

export type RawConfig = z.infer<typeof rawConfigSchema>;
export type RawRope = z.infer<typeof ropeFields>;

/** Qwen's rule: `layer_types` where it is written, else the layers from `max_window_layers` on; nothing without `use_sliding_window`. */
export function windowByLayerType(raw: RawConfig, layer: number): number | null {
  const { use_sliding_window = false, sliding_window = 4096, max_window_layers = 28, layer_types } = raw;
  if (!use_sliding_window) return null;
  const isWindowed = layer_types ? layer_types[layer] === 'sliding_attention' : layer >= max_window_layers;
  return isWindowed ? sliding_window : null;
}
