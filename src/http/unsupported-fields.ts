/**
 * Fields of OpenAI's, FastDeploy's and vLLM's API that this server knows and does not have. A value that asks for nothing is accepted;
 * any other is refused by name, because an answer that silently ignores it would be a wrong answer.
 */
import { FieldError } from './error-reply.ts';

type IsNeutral = (value: unknown, body: Readonly<Record<string, unknown>>) => boolean;

interface Unsupported {
  readonly isNeutral: IsNeutral;
  /** What to do instead. */
  readonly instead?: string;
}

const isEmpty: IsNeutral = (value) =>
  value === '' || (typeof value === 'object' && value !== null && Object.keys(value).length === 0) || value === false;
const oneOf =
  (...values: readonly unknown[]): IsNeutral =>
  (value, body) =>
    values.includes(value) || isEmpty(value, body);
const isTextOnly: IsNeutral = (value) => Array.isArray(value) && value.every((modality) => modality === 'text');

const BOTH: Readonly<Record<string, Unsupported>> = {
  use_beam_search: { isNeutral: oneOf(false), instead: 'use `best_of` of /v1/completions' },
  length_penalty: { isNeutral: oneOf(1) },
  allowed_token_ids: { isNeutral: isEmpty },
  logprob_token_ids: { isNeutral: isEmpty },
  disaggregate_info: { isNeutral: isEmpty },
  mm_hashes: { isNeutral: isEmpty, instead: 'this model takes text only' },
  mm_processor_kwargs: { isNeutral: isEmpty, instead: 'this model takes text only' },
};

const CHAT: Readonly<Record<string, Unsupported>> = {
  ...BOTH,
  best_of: { isNeutral: (value, body) => value === 1 || value === (body.n ?? 1), instead: 'use `n`, or `best_of` of /v1/completions' },
  suffix: { isNeutral: isEmpty },
  add_special_tokens: { isNeutral: oneOf(false), instead: 'the chat template writes the special tokens' },
  functions: { isNeutral: isEmpty, instead: 'use `tools`' },
  function_call: { isNeutral: oneOf('none', 'auto'), instead: 'use `tools` and `tool_choice`' },
  modalities: { isNeutral: isTextOnly, instead: 'this model writes text only' },
  audio: { isNeutral: isEmpty, instead: 'this model writes text only' },
  web_search_options: { isNeutral: () => false },
};

/** @throws FieldError unsupported_parameter, naming the first field that asks for something. */
export function refuseUnsupported(body: Readonly<Record<string, unknown>>, endpoint: 'chat' | 'completions'): void {
  const table = endpoint === 'chat' ? CHAT : BOTH;
  for (const [field, value] of Object.entries(body)) {
    const entry = Object.hasOwn(table, field) ? table[field] : undefined;
    if (!entry || entry.isNeutral(value, body)) continue;
    const message = `This server does not support \`${field}\`: ${entry.instead ?? 'leave it out'}.`;
    throw new FieldError('unsupported_parameter', message, { param: field });
  }
}
