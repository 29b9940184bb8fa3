/** A Responses request as the fields of a chat completion. */
import type { ParamNames } from '../dialect-params.ts';
import { conversation } from './conversation.ts';
import type { PlacedItem } from './items.ts';
import type { ResponsesBody } from './schema.ts';

export interface ChatTranslation {
  readonly fields: Readonly<Record<string, unknown>>;
  /** For errors about the chat fields. */
  readonly paramNames: ParamNames;
}

/** Fields that OpenAI's Responses API does not have, taken as chat completions take them. */
const EXTENSIONS = [
  'seed',
  'stop',
  'top_k',
  'min_p',
  'presence_penalty',
  'frequency_penalty',
  'repetition_penalty',
  'enable_thinking',
  'reasoning_max_tokens',
  'chat_template_kwargs',
  'priority',
  'cache_salt',
  'timeout',
  'ignore_eos',
  'min_tokens',
];

const LOGPROBS = 'message.output_text.logprobs';

export function wantsLogprobs(body: ResponsesBody): boolean {
  return body.include.includes(LOGPROBS) || (body.top_logprobs ?? 0) > 0;
}

/**
 * @param items the conversation: what was stored, then the request's own.
 * @param given the request before it was checked: where extensions are looked for.
 * @throws FieldError for an item that a text model cannot take.
 */
export function chatFields(body: ResponsesBody, items: readonly PlacedItem[], given: Readonly<Record<string, unknown>>): ChatTranslation {
  const placed = conversation(body.instructions, items);
  const fields = {
    ...Object.fromEntries(EXTENSIONS.filter((field) => Object.hasOwn(given, field)).map((field) => [field, given[field]])),
    model: body.model,
    messages: placed.map(({ message }) => message),
    stream: body.stream,
    max_completion_tokens: body.max_output_tokens,
    temperature: body.temperature,
    top_p: body.top_p,
    user: body.user,
    reasoning_effort: body.reasoning?.effort,
    truncate_prompt_tokens: body.truncation === 'auto' ? -1 : undefined,
    ...(wantsLogprobs(body) && { logprobs: true, top_logprobs: body.top_logprobs ?? 0 }),
    ...toolFields(body),
    response_format: responseFormat(body),
  };
  const tools = body.tools.map((_, i) => `tools[${i}]`);
  const paramNames = new Map([
    ...placed.map(({ at }, i) => [`messages[${i}]`, at] as const),
    ...tools.map((tool) => [`${tool}.function`, tool] as const),
    ...NAMES,
  ]);
  return { fields: Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null)), paramNames };
}

const NAMES: ParamNames = new Map([
  ['messages', 'input'],
  ['max_completion_tokens', 'max_output_tokens'],
  ['max_tokens', 'max_output_tokens'],
  ['reasoning_effort', 'reasoning.effort'],
  ['truncate_prompt_tokens', 'truncation'],
  ['logprobs', 'include'],
  ['tool_choice.function', 'tool_choice'],
  ['tool_choice.allowed_tools', 'tool_choice'],
  ['response_format.json_schema', 'text.format'],
  ['response_format', 'text.format'],
]);

function toolFields({ tools, tool_choice: choice, parallel_tool_calls }: ResponsesBody) {
  if (tools.length === 0 && (choice === 'auto' || choice === 'none')) return {};
  return {
    tools: tools.map(({ name, description, parameters, strict }) => ({
      type: 'function',
      function: { name, description, parameters, strict },
    })),
    tool_choice: toolChoice(choice),
    parallel_tool_calls,
  };
}

function toolChoice(choice: ResponsesBody['tool_choice']) {
  if (typeof choice === 'string') return choice;
  if (choice.type === 'function') return { type: 'function', function: { name: choice.name } };
  const tools = (choice.tools as readonly { readonly name: string }[]).map(({ name }) => ({ type: 'function', function: { name } }));
  return { type: 'allowed_tools', allowed_tools: { mode: choice.mode, tools } };
}

function responseFormat({ text }: ResponsesBody) {
  const format = text?.format;
  if (!format || format.type === 'text') return undefined;
  if (format.type === 'json_object') return { type: 'json_object' };
  const { name, schema, strict, description } = format;
  return { type: 'json_schema', json_schema: { name, schema, strict: strict ?? undefined, description: description ?? undefined } };
}
