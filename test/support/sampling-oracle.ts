/** sampling.json: 400 cases for the sampler, computed by transformers. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GREEDY, type SamplingParams } from '../../src/core/sampling-params.ts';
import { ORACLES } from './oracles.ts';

/** Written by transformers' logits processors in float64. */
export interface SamplingCase {
  readonly logits: readonly number[];
  readonly prompt_token_ids: readonly number[];
  readonly output_token_ids: readonly number[];
  readonly params: {
    readonly temperature: number;
    readonly repetition_penalty?: number;
    readonly frequency_penalty?: number;
    readonly presence_penalty?: number;
    readonly logit_bias?: Readonly<Record<string, number>>;
    readonly bad_words_token_ids?: readonly number[];
    readonly min_tokens?: number;
    readonly stop_token_ids?: readonly number[];
    readonly min_p?: number;
    readonly top_k?: number;
    readonly top_p?: number;
  };
  readonly expect: { readonly probs?: Readonly<Record<string, number>>; readonly argmax?: number; readonly tied?: readonly number[] };
  readonly raw_logprobs: readonly number[];
}

export const samplingCases = JSON.parse(readFileSync(join(ORACLES, 'sampling.json'), 'utf8')) as SamplingCase[];

export function paramsOf({ params }: SamplingCase): SamplingParams {
  return {
    ...GREEDY,
    temperature: params.temperature,
    repetitionPenalty: params.repetition_penalty ?? 1,
    frequencyPenalty: params.frequency_penalty ?? 0,
    presencePenalty: params.presence_penalty ?? 0,
    logitBias: Object.entries(params.logit_bias ?? {}).map(([id, bias]) => [Number(id), bias]),
    badWords: (params.bad_words_token_ids ?? []).map((id) => [id]),
    minTokens: params.min_tokens ?? 0,
    stopTokenIds: params.stop_token_ids ?? [],
    minP: params.min_p ?? 0,
    topK: params.top_k ?? 0,
    topP: params.top_p ?? 1,
  };
}
