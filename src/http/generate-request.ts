/** From a checked body to what the generator is asked for: what chat and text completion have in common. */
import { randomUUID } from 'node:crypto';
import { TroupeError } from '../core/errors.ts';
import type { GenerateRequest, ModelCard } from '../core/generation.ts';
import { constraintOf } from './constraint-fields.ts';
import { FieldError } from './error-reply.ts';
import type { ChatBody, CompletionBody } from './openai-schema.ts';
import type { Features } from './services.ts';

const MAX_USER_LENGTH = 64;

/** @returns `chatcmpl-…`, `cmpl-…`, `embd-…`, `reward-…`: the client's own id, or one with the user in it, as FastDeploy builds them. */
export function generationId(
  prefix: 'chatcmpl' | 'cmpl' | 'embd' | 'reward',
  { request_id, user }: Pick<ChatBody, 'request_id' | 'user'>,
): string {
  if (request_id) return request_id.startsWith(`${prefix}-`) ? request_id : `${prefix}-${request_id}`;
  return user ? `${prefix}-${user.slice(0, MAX_USER_LENGTH)}-${randomUUID()}` : `${prefix}-${randomUUID()}`;
}

/** @throws TroupeError model_not_found. */
export function checkModelName(name: string | undefined, model: ModelCard): void {
  if (!model.isNameChecked || name === undefined || name === 'default' || model.names.includes(name)) return;
  throw new TroupeError('model_not_found', `Unsupported model: ${name}, support ${model.names.join(', ')} or default`, { param: 'model' });
}

export interface RequestOptions {
  /** Choices to generate: n, or best_of. */
  readonly n: number;
  /** Alternatives per token; undefined = no log-probabilities. */
  readonly logprobs: number | undefined;
  readonly promptLogprobs: number | undefined;
  readonly maxTokens: number | undefined;
}

type Prompted = 'requestId' | 'prompt' | 'parseReasoning';

/** @throws FieldError for what depends on several fields, or on how the server was started. */
export function commonRequest(
  body: ChatBody | CompletionBody,
  { n, logprobs, promptLogprobs, maxTokens }: RequestOptions,
  features: Features,
): Omit<GenerateRequest, Prompted> {
  const minTokens = body.min_tokens ?? body.metadata?.min_tokens ?? undefined;
  if (maxTokens !== undefined && (minTokens ?? 0) > maxTokens) {
    const message = `min_tokens (${minTokens}) must not be greater than max_tokens (${maxTokens}).`;
    throw new FieldError('invalid_value', message, { param: 'min_tokens' });
  }
  return {
    n,
    sampling: withoutUndefined({
      temperature: body.temperature,
      topK: body.top_k,
      topP: body.top_p,
      minP: body.min_p,
      repetitionPenalty: body.repetition_penalty,
      presencePenalty: body.presence_penalty,
      frequencyPenalty: body.frequency_penalty,
      logitBias: body.logit_bias ?? body.logits_processors_args?.logit_bias,
      minTokens,
      maxTokens,
      logprobs,
      logprobsMode: logprobsMode(body),
      promptLogprobs,
    }),
    seed: body.seed === undefined ? undefined : BigInt(body.seed),
    stop: body.stop,
    stopTokenIds: body.stop_token_ids,
    includeStopStrInOutput: body.include_stop_str_in_output,
    ignoreEos: body.ignore_eos,
    skipSpecialTokens: body.skip_special_tokens,
    badWords: body.bad_words.filter((word) => word !== ''),
    badWordsTokenIds: body.bad_words_token_ids,
    constraint: constraintOf(body, features.guidedDecoding),
    reasoningMaxTokens: body.reasoning_max_tokens ?? thinkingBudget(body),
    responseMaxTokens: body.response_max_tokens,
    truncatePromptTokens: body.truncate_prompt_tokens,
    timeoutMs: body.timeout === undefined ? undefined : body.timeout * 1000,
    wantTokenIds: body.return_token_ids,
    priority: body.priority,
    cacheSalt: body.cache_salt,
  };
}

/**
 * The last field that is there wins: `max_completion_tokens`, as documented. Above the model's length it is cut, not refused.
 * @param fields in the order in which later ones win.
 */
export function checkedMaxTokens(fields: Readonly<Record<string, number | undefined>>, model: ModelCard, min = 1): number | undefined {
  const given = Object.entries(fields).filter((entry): entry is [string, number] => entry[1] !== undefined);
  for (const [param, value] of given) {
    if (value >= min) continue;
    throw new FieldError('invalid_value', `max_tokens can be defined [1, ${model.maxModelLen}), but now it's ${value}.`, { param });
  }
  return given.at(-1)?.[1];
}

/** Deltas are joined until they have so many tokens. */
export function tokensPerEvent(body: ChatBody | CompletionBody): number {
  return Math.max(1, body.max_streaming_response_tokens ?? body.metadata?.max_streaming_response_tokens ?? 1);
}

function logprobsMode({ temp_scaled_logprobs, top_p_normalized_logprobs }: ChatBody | CompletionBody) {
  if (!temp_scaled_logprobs && !top_p_normalized_logprobs) return undefined;
  return { tempScaled: temp_scaled_logprobs, topPNormalized: top_p_normalized_logprobs };
}

function thinkingBudget({ thinking_token_budget, logits_processors_args }: ChatBody | CompletionBody): number | undefined {
  const budget = thinking_token_budget ?? logits_processors_args?.thinking_budget ?? -1;
  return budget === -1 ? undefined : budget;
}

type WithoutUndefined<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> };

function withoutUndefined<T extends object>(fields: T): WithoutUndefined<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as WithoutUndefined<T>;
}
