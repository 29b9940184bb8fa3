/** config.json → ModelConfig: everything that the weights, the graph and the KV cache need to know about a model. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StartupError } from '../core/errors.ts';
import type { Family } from './families/family.ts';
import { FAMILIES } from './families/index.ts';
import { type RawConfig, type RawRope, rawConfigSchema } from './raw-config.ts';
import { decoderArchitecture, isScoringArchitecture } from './scoring.ts';

export type RopeScaling =
  | { readonly type: 'none' }
  | { readonly type: 'linear'; readonly factor: number }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalMaxPositionEmbeddings: number;
    }
  | {
      readonly type: 'yarn';
      readonly factor: number;
      readonly originalMaxPositionEmbeddings: number;
      /** Multiplies cos and sin. */
      readonly attentionFactor: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      /** Whether the ramp's ends are rounded to whole dimensions. */
      readonly truncate: boolean;
    };

export interface RopeConfig {
  readonly theta: number;
  readonly scaling: RopeScaling;
  readonly interleaved: boolean;
}

export interface ModelConfig {
  /** `model_type`: for people and fingerprints, not to branch on. */
  readonly family: string;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  readonly vocabSize: number;
  readonly maxPositionEmbeddings: number;
  readonly rmsNormEps: number;
  readonly rope: RopeConfig;
  readonly qkNorm: boolean;
  readonly biases: { readonly qkv: boolean; readonly attentionOutput: boolean; readonly mlp: boolean };
  /** Per layer: positions looked back on, its own included; null = all. */
  readonly slidingWindows: readonly (number | null)[];
  readonly tieWordEmbeddings: boolean;
  /** End-of-sequence ids of config.json; generation_config.json goes first. */
  readonly eosTokenIds: readonly number[];
  readonly bosTokenId: number | null;
}

/** @throws StartupError: missing, not JSON, an unsupported architecture, or a field that cannot be served. */
export function readModelConfig(dir: string): ModelConfig {
  const file = join(dir, 'config.json');
  return parseModelConfig(readJson(file), file);
}

/** The parsed `file`, or a StartupError that says what is wrong with it. */
export function readJson(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new StartupError(`${file}: cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'error'})`, { cause });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new StartupError(`${file}: not JSON (${(cause as Error).message})`, { cause });
  }
}

/** `file` only names the source in messages. @throws StartupError */
export function parseModelConfig(json: unknown, file: string): ModelConfig {
  const family = findFamily(json, file);
  const parsed = rawConfigSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new StartupError(`${file}: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  const raw = parsed.data;
  refuseWhatWeCannotServe(raw, file);
  const headDim = raw.head_dim ?? family.defaults.headDim ?? Math.floor(raw.hidden_size / raw.num_attention_heads);
  const numKvHeads = raw.num_key_value_heads ?? (raw.num_key_value_heads === null ? null : family.defaults.numKvHeads);
  const config: ModelConfig = {
    family: family.modelType,
    hiddenSize: raw.hidden_size,
    numLayers: raw.num_hidden_layers,
    numHeads: raw.num_attention_heads,
    numKvHeads: numKvHeads ?? raw.num_attention_heads,
    headDim,
    intermediateSize: raw.intermediate_size,
    vocabSize: raw.vocab_size,
    maxPositionEmbeddings: raw.max_position_embeddings ?? family.defaults.maxPositionEmbeddings,
    rmsNormEps: raw.rms_norm_eps ?? family.defaults.rmsNormEps,
    rope: parseRope(raw, family, file),
    qkNorm: family.qkNorm,
    biases: family.biases(raw),
    slidingWindows: Array.from({ length: raw.num_hidden_layers }, (_, layer) => family.slidingWindow(raw, layer)),
    // A scoring model has no LM head: the embedding stands in for what nobody asks.
    tieWordEmbeddings: isScoring(json) || (raw.tie_word_embeddings ?? family.defaults.tieWordEmbeddings),
    eosTokenIds: raw.eos_token_id == null ? [] : [raw.eos_token_id].flat(),
    bosTokenId: raw.bos_token_id ?? null,
  };
  if (config.numHeads % config.numKvHeads !== 0) {
    throw new StartupError(
      `${file}: num_attention_heads (${config.numHeads}) is not a multiple of num_key_value_heads (${config.numKvHeads})`,
    );
  }
  if (headDim % 2 !== 0) throw new StartupError(`${file}: head_dim ${headDim} is odd; rotary positions need pairs`);
  return config;
}

function isScoring(json: unknown): boolean {
  const { architectures } = (json ?? {}) as { architectures?: unknown };
  return Array.isArray(architectures) && isScoringArchitecture(String(architectures[0]));
}

function findFamily(json: unknown, file: string): Family {
  const { architectures, model_type: modelType } = (json ?? {}) as { architectures?: unknown; model_type?: unknown };
  const architecture = Array.isArray(architectures) ? architectures[0] : undefined;
  const family = FAMILIES.find((known) =>
    architecture === undefined ? known.modelType === modelType : known.architecture === decoderArchitecture(String(architecture)),
  );
  if (family !== undefined) return family;
  const supported = FAMILIES.map((known) => known.architecture).join(', ');
  throw new StartupError(
    `${file}: architecture ${String(architecture ?? modelType ?? '(none named)')} is not supported; supported are ${supported}`,
  );
}

function refuseWhatWeCannotServe(raw: RawConfig, file: string): void {
  if (raw.hidden_act !== undefined && raw.hidden_act !== 'silu' && raw.hidden_act !== 'swish') {
    throw new StartupError(`${file}: hidden_act "${raw.hidden_act}" is not supported; supported is "silu"`);
  }
  if (raw.quantization_config != null) {
    const method = raw.quantization_config.quant_method ?? 'unknown';
    throw new StartupError(
      `${file}: the checkpoint is already quantised (${method}); supported are BF16, F16 and F32 weights: take the original and --quantization`,
    );
  }
  const partial = raw.partial_rotary_factor ?? raw.rope_parameters?.partial_rotary_factor ?? 1;
  if (partial !== 1) throw new StartupError(`${file}: partial_rotary_factor ${partial} is not supported; supported is 1`);
}

function parseRope(raw: RawConfig, family: Family, file: string): RopeConfig {
  const fields: RawRope = { ...raw.rope_scaling, ...raw.rope_parameters };
  return {
    theta: raw.rope_parameters?.rope_theta ?? raw.rope_theta ?? raw.rope_scaling?.rope_theta ?? family.defaults.ropeTheta,
    scaling: parseScaling(fields, raw, family, file),
    interleaved: family.ropeInterleaved,
  };
}

function parseScaling(fields: RawRope, raw: RawConfig, family: Family, file: string): RopeScaling {
  const type = fields.rope_type ?? fields.type ?? 'default';
  const maxPositions = raw.max_position_embeddings ?? family.defaults.maxPositionEmbeddings;
  const needed = (name: string, value: number | null | undefined): number => {
    if (value != null) return value;
    throw new StartupError(`${file}: rope scaling "${type}" needs ${name}`);
  };
  switch (type) {
    case 'default':
      return { type: 'none' };
    case 'linear':
      return { type: 'linear', factor: needed('factor', fields.factor) };
    case 'llama3':
      return {
        type: 'llama3',
        factor: needed('factor', fields.factor),
        lowFreqFactor: needed('low_freq_factor', fields.low_freq_factor),
        highFreqFactor: needed('high_freq_factor', fields.high_freq_factor),
        originalMaxPositionEmbeddings: needed('original_max_position_embeddings', fields.original_max_position_embeddings),
      };
    case 'yarn': {
      const originalMaxPositionEmbeddings = fields.original_max_position_embeddings ?? maxPositions;
      const factor = fields.factor ?? maxPositions / originalMaxPositionEmbeddings;
      return {
        type: 'yarn',
        factor,
        originalMaxPositionEmbeddings,
        attentionFactor: fields.attention_factor ?? yarnAttentionFactor(factor, fields.mscale, fields.mscale_all_dim),
        betaFast: fields.beta_fast || 32,
        betaSlow: fields.beta_slow || 1,
        truncate: fields.truncate ?? true,
      };
    }
    default:
      throw new StartupError(`${file}: rope scaling "${type}" is not supported; supported are default, linear, llama3 and yarn`);
  }
}

/** The temperature correction of the YaRN paper (section 3.4), with DeepSeek's two weights where the config has both. */
function yarnAttentionFactor(factor: number, mscale: number | null | undefined, mscaleAllDim: number | null | undefined): number {
  const correction = (weight: number): number => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  return mscale && mscaleAllDim ? correction(mscale) / correction(mscaleAllDim) : correction(1);
}
