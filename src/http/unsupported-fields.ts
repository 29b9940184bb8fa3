/**
 * Fields of OpenAI's, FastDeploy's and vLLM's API that this server knows but does not act on yet. A value that asks for nothing is
 * accepted; any other is refused by name, because an answer that silently ignores it would be a wrong answer.
 */
import { FieldError } from './error-reply.ts';

type IsNeutral = (value: unknown, body: Readonly<Record<string, unknown>>) => boolean;

const isEmpty: IsNeutral = (value) =>
  value === '' || (typeof value === 'object' && value !== null && Object.keys(value).length === 0) || value === false;
const oneOf =
  (...values: readonly unknown[]): IsNeutral =>
  (value, body) =>
    values.includes(value) || isEmpty(value, body);
const isTextFormat: IsNeutral = (value, body) => (value as { type?: unknown }).type === 'text' || isEmpty(value, body);
const isTextOnly: IsNeutral = (value) => Array.isArray(value) && value.every((modality) => modality === 'text');
const isChoiceCount: IsNeutral = (value, body) => value === 1 || value === (body.n ?? 1);

const BOTH: Readonly<Record<string, IsNeutral>> = {
  response_format: isTextFormat,
  guided_json: isEmpty,
  guided_regex: isEmpty,
  guided_choice: isEmpty,
  guided_grammar: isEmpty,
  structural_tag: isEmpty,
  structured_outputs: isEmpty,
  best_of: isChoiceCount,
  echo: oneOf(false),
  suffix: isEmpty,
  prompt_logprobs: oneOf(false),
  include_draft_logprobs: oneOf(false),
  include_logprobs_decode_token: oneOf(true),
  temp_scaled_logprobs: oneOf(false),
  top_p_normalized_logprobs: oneOf(false),
  logits_processors_args: isEmpty,
  max_streaming_response_tokens: oneOf(1),
  collect_metrics: oneOf(false),
  disaggregate_info: isEmpty,
  mm_hashes: isEmpty,
  mm_processor_kwargs: isEmpty,
  use_beam_search: oneOf(false),
  length_penalty: oneOf(1),
  truncate_prompt_tokens: oneOf(-1),
  allowed_token_ids: isEmpty,
};

const CHAT: Readonly<Record<string, IsNeutral>> = {
  ...BOTH,
  tools: isEmpty,
  tool_choice: oneOf('none', 'auto'),
  functions: isEmpty,
  function_call: oneOf('none', 'auto'),
  reasoning_max_tokens: () => false,
  response_max_tokens: () => false,
  reasoning_effort: isEmpty,
  thinking_token_budget: () => false,
  chat_template: isEmpty,
  disable_chat_template: oneOf(false),
  completion_token_ids: isEmpty,
  modalities: isTextOnly,
  audio: isEmpty,
  prediction: isEmpty,
  store: oneOf(false),
  service_tier: oneOf('auto', 'default'),
  web_search_options: isEmpty,
  verbosity: oneOf('medium'),
  documents: isEmpty,
};

/** @throws FieldError unsupported_parameter, naming the first field that asks for something. */
export function refuseUnsupported(body: Readonly<Record<string, unknown>>, endpoint: 'chat' | 'completions'): void {
  const table = endpoint === 'chat' ? CHAT : BOTH;
  for (const [field, value] of Object.entries(body)) {
    const isNeutral = Object.hasOwn(table, field) ? table[field] : undefined;
    if (!isNeutral || isNeutral(value, body)) continue;
    throw new FieldError('unsupported_parameter', `This server does not support \`${field}\` yet: leave it out.`, { param: field });
  }
}
