/** generation_config.json: the sampling values that hold unless a request says otherwise. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { StartupError } from '../core/errors.ts';
import { type ModelConfig, readJson } from './model-config.ts';

/** Absent fields are neutral. `do_sample` is not read: as in vLLM, the numbers given hold, and a request chooses greedy by temperature 0. */
export interface GenerationDefaults {
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly maxNewTokens?: number;
  /** Any of them ends a sequence. */
  readonly eosTokenIds: readonly number[];
}

const schema = z.looseObject({
  temperature: z.number().nonnegative().nullish(),
  top_k: z.number().int().nullish(),
  top_p: z.number().positive().max(1).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().positive().nullish(),
  max_new_tokens: z.number().int().positive().nullish(),
  eos_token_id: z.union([z.number().int(), z.array(z.number().int())]).nullish(),
});

/** The folder's defaults; a missing file gives only the end-of-sequence ids of config.json. @throws StartupError */
export function readGenerationDefaults(dir: string, config: ModelConfig): GenerationDefaults {
  const file = join(dir, 'generation_config.json');
  if (!existsSync(file)) return { eosTokenIds: config.eosTokenIds };
  const parsed = schema.safeParse(readJson(file));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new StartupError(`${file}: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  const raw = parsed.data;
  return {
    ...(raw.temperature != null && { temperature: raw.temperature }),
    ...(raw.top_k != null && { topK: raw.top_k }),
    ...(raw.top_p != null && { topP: raw.top_p }),
    ...(raw.min_p != null && { minP: raw.min_p }),
    ...(raw.repetition_penalty != null && { repetitionPenalty: raw.repetition_penalty }),
    ...(raw.max_new_tokens != null && { maxNewTokens: raw.max_new_tokens }),
    eosTokenIds: raw.eos_token_id == null ? config.eosTokenIds : [raw.eos_token_id].flat(),
  };
}
