/** From a checked body to what the generator is asked for. */
import { randomUUID } from 'node:crypto';
import { TroupeError } from '../core/errors.ts';
import type { GenerateRequest, ModelCard, Prompt } from '../core/generation.ts';
import { FieldError } from './error-reply.ts';
import type { ChatBody, CompletionBody } from './openai-schema.ts';
import { FIELD_REQUIRED } from './schema-fields.ts';

/** Choices of one request over all its prompts. */
const MAX_CHOICES_OF_A_BATCH = 1024;
const MAX_USER_LENGTH = 64;

/** @returns `chatcmpl-…` or `cmpl-…`: the client's own id, or one with the user in it, as FastDeploy builds them. */
export function generationId(prefix: 'chatcmpl' | 'cmpl', { request_id, user }: Pick<ChatBody, 'request_id' | 'user'>): string {
  if (request_id) return request_id.startsWith(`${prefix}-`) ? request_id : `${prefix}-${request_id}`;
  return user ? `${prefix}-${user.slice(0, MAX_USER_LENGTH)}-${randomUUID()}` : `${prefix}-${randomUUID()}`;
}

/** @throws TroupeError model_not_found. */
export function checkModelName(name: string | undefined, model: ModelCard): void {
  if (!model.isNameChecked || name === undefined || name === 'default' || model.names.includes(name)) return;
  throw new TroupeError('model_not_found', `Unsupported model: ${name}, support ${model.names.join(', ')} or default`, { param: 'model' });
}

/** @throws FieldError for what depends on the model or on several fields. */
export function chatRequest(body: ChatBody, requestId: string, model: ModelCard): GenerateRequest {
  const logprobs = body.logprobs ? (body.top_logprobs ?? 0) : undefined;
  const maxTokens = { max_tokens: body.max_tokens, max_completion_tokens: body.max_completion_tokens };
  return { ...common(body, requestId, maxTokens, logprobs, model), prompt: chatPrompt(body), parseReasoning: true };
}

/** One request per prompt, in order; choice i of prompt p is choice `p × n + i` of the reply. */
export function completionRequests(body: CompletionBody, requestId: string, model: ModelCard): GenerateRequest[] {
  const prompts = body.prompt_token_ids ?? body.prompt;
  if (!prompts) throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param: 'prompt' });
  const field = body.prompt_token_ids ? 'prompt_token_ids' : 'prompt';
  if (body.prompt_token_ids?.some(({ value }) => typeof value === 'string')) {
    throw new FieldError('invalid_value', 'Input should be a valid list of token ids', { param: 'prompt_token_ids' });
  }
  if (prompts.length * body.n > MAX_CHOICES_OF_A_BATCH) {
    const message = `${prompts.length} prompts with n = ${body.n} are more than ${MAX_CHOICES_OF_A_BATCH} choices: send them in several requests.`;
    throw new FieldError('invalid_value', message, { param: field });
  }
  return prompts.map(({ value, at }, i) => ({
    ...common(body, prompts.length > 1 ? `${requestId}_${i}` : requestId, { max_tokens: body.max_tokens }, body.logprobs, model),
    prompt: { param: field + at, ...(typeof value === 'string' ? { type: 'text', text: value } : { type: 'tokens', tokenIds: value }) },
    parseReasoning: false,
  }));
}

function chatPrompt(body: ChatBody): Prompt {
  if (body.prompt_token_ids && body.prompt_token_ids.length > 0)
    return { type: 'tokens', param: 'prompt_token_ids', tokenIds: body.prompt_token_ids };
  const { messages } = body;
  if (!messages) throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param: 'messages' });
  if (messages.length === 0) throw new FieldError('invalid_value', 'messages must not be empty', { param: 'messages' });
  if (isTokenIds(messages)) return { type: 'tokens', param: 'messages', tokenIds: messages };
  const isThinking = body.enable_thinking ?? metadataFlag(body, 'enable_thinking');
  return {
    type: 'chat',
    param: 'messages',
    messages,
    addGenerationPrompt: body.add_generation_prompt ?? !body.continue_final_message,
    continueFinalMessage: body.continue_final_message,
    templateKwargs: { ...(isThinking !== undefined && { enable_thinking: isThinking }), ...body.chat_template_kwargs },
  };
}

function isTokenIds(messages: NonNullable<ChatBody['messages']>): messages is readonly number[] {
  return typeof messages[0] === 'number';
}

/** FastDeploy's older clients put parameters here. */
function metadataFlag(body: ChatBody, key: string): boolean | undefined {
  const value = body.metadata?.[key];
  return typeof value === 'boolean' ? value : undefined;
}

type LengthFields = Readonly<Record<string, number | undefined>>;

function common(
  body: ChatBody | CompletionBody,
  requestId: string,
  lengthFields: LengthFields,
  logprobs: number | undefined,
  model: ModelCard,
): Omit<GenerateRequest, 'prompt' | 'parseReasoning'> {
  const maxTokens = checkedMaxTokens(lengthFields, model);
  if (maxTokens !== undefined && (body.min_tokens ?? 0) > maxTokens) {
    const message = `min_tokens (${body.min_tokens}) must not be greater than max_tokens (${maxTokens}).`;
    throw new FieldError('invalid_value', message, { param: 'min_tokens' });
  }
  return {
    requestId,
    n: body.n,
    sampling: withoutUndefined({
      temperature: body.temperature,
      topK: body.top_k,
      topP: body.top_p,
      minP: body.min_p,
      repetitionPenalty: body.repetition_penalty,
      presencePenalty: body.presence_penalty,
      frequencyPenalty: body.frequency_penalty,
      logitBias: body.logit_bias,
      minTokens: body.min_tokens,
      maxTokens,
      logprobs,
    }),
    seed: body.seed === undefined ? undefined : BigInt(body.seed),
    stop: body.stop,
    stopTokenIds: body.stop_token_ids,
    includeStopStrInOutput: body.include_stop_str_in_output,
    ignoreEos: body.ignore_eos,
    skipSpecialTokens: body.skip_special_tokens,
    badWords: body.bad_words.filter((word) => word !== ''),
    badWordsTokenIds: body.bad_words_token_ids,
    wantTokenIds: body.return_token_ids,
    priority: body.priority,
    cacheSalt: body.cache_salt,
  };
}

/** The last field that is there wins: `max_completion_tokens`, as documented. Above the model's length it is cut, not refused. */
function checkedMaxTokens(fields: LengthFields, model: ModelCard): number | undefined {
  const given = Object.entries(fields).filter((entry): entry is [string, number] => entry[1] !== undefined);
  for (const [param, value] of given) {
    if (value >= 1) continue;
    throw new FieldError('invalid_value', `max_tokens can be defined [1, ${model.maxModelLen}), but now it's ${value}.`, { param });
  }
  return given.at(-1)?.[1];
}

type WithoutUndefined<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> };

function withoutUndefined<T extends object>(fields: T): WithoutUndefined<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as WithoutUndefined<T>;
}
