/** A Messages request as the fields of a chat completion. */
import type { ParamNames } from '../dialect-params.ts';
import { conversation, type PlacedMessage } from './conversation.ts';
import type { MessagesBody, MessagesPrompt } from './schema.ts';

export interface ChatTranslation {
  readonly fields: Readonly<Record<string, unknown>>;
  /** For errors about the chat fields. */
  readonly paramNames: ParamNames;
}

/** Fields that Anthropic does not have, taken as chat completions take them. */
const EXTENSIONS = ['seed', 'min_p', 'repetition_penalty', 'chat_template_kwargs', 'priority', 'cache_salt', 'ignore_eos', 'min_tokens'];

/** @param given the request before it was checked: where extensions are looked for. @throws FieldError for a block that a text model cannot take. */
export function chatFields(body: MessagesBody, given: Readonly<Record<string, unknown>>): ChatTranslation {
  const { fields, paramNames } = promptFields(body);
  return {
    fields: {
      ...Object.fromEntries(EXTENSIONS.filter((field) => Object.hasOwn(given, field)).map((field) => [field, given[field]])),
      ...fields,
      stream: body.stream,
      max_completion_tokens: body.max_tokens,
      stop: body.stop_sequences,
      temperature: body.temperature,
      top_p: body.top_p,
      top_k: body.top_k,
      user: body.metadata?.user_id,
    },
    paramNames: new Map([...paramNames, ...NAMES]),
  };
}

const NAMES: ParamNames = new Map([
  ['max_completion_tokens', 'max_tokens'],
  ['stop', 'stop_sequences'],
  ['user', 'metadata.user_id'],
]);

/** What of it becomes the prompt. A last message of the assistant's is gone on with, as Anthropic does. */
export function promptFields(body: MessagesPrompt): ChatTranslation {
  const placed = conversation(body);
  const isPrefilled = placed.at(-1)?.message.role === 'assistant' && !placed.at(-1)?.message.tool_calls;
  return {
    fields: withoutUndefined({
      model: body.model,
      messages: placed.map(({ message }) => message),
      continue_final_message: isPrefilled || undefined,
      ...toolFields(body),
      ...thinkingFields(body),
      reasoning_effort: body.output_config?.effort ?? undefined,
      response_format: responseFormat(body),
    }),
    paramNames: promptNames(placed, body.tools.length),
  };
}

function toolFields({ tools, tool_choice: choice }: MessagesPrompt) {
  if (tools.length === 0) return {};
  return {
    tools: tools.map(({ name, description, input_schema, strict }) => ({
      type: 'function',
      function: withoutUndefined({ name, description: description ?? undefined, parameters: input_schema, strict: strict ?? undefined }),
    })),
    tool_choice: choice && toolChoice(choice),
    parallel_tool_calls: choice?.disable_parallel_tool_use ? false : undefined,
  };
}

function toolChoice({ type, name }: NonNullable<MessagesPrompt['tool_choice']>) {
  switch (type) {
    case 'auto':
    case 'none':
      return type;
    case 'any':
      return 'required';
    case 'tool':
      return { type: 'function', function: { name } };
    default:
      return type satisfies never;
  }
}

/** Without the field, the model's own template decides. */
function thinkingFields({ thinking }: MessagesPrompt) {
  if (!thinking) return {};
  return {
    enable_thinking: thinking.type !== 'disabled',
    reasoning_max_tokens: thinking.type === 'enabled' ? thinking.budget_tokens : undefined,
  };
}

function responseFormat({ output_config }: MessagesPrompt) {
  const schema = output_config?.format?.schema;
  return schema && { type: 'json_schema', json_schema: { name: 'output', schema } };
}

function promptNames(placed: readonly PlacedMessage[], numTools: number): ParamNames {
  const tools = Array.from({ length: numTools }, (_, i) => `tools[${i}]`);
  return new Map([
    ...placed.map(({ at }, i) => [`messages[${i}]`, at] as const),
    ...tools.map((tool) => [`${tool}.function`, tool] as const),
    ...tools.map((tool) => [`${tool}.function.parameters`, `${tool}.input_schema`] as const),
    ['tool_choice.function', 'tool_choice'],
    ['response_format.json_schema', 'output_config.format'],
    ['response_format', 'output_config.format'],
    ['reasoning_effort', 'output_config.effort'],
    ['parallel_tool_calls', 'tool_choice.disable_parallel_tool_use'],
    ['reasoning_max_tokens', 'thinking.budget_tokens'],
    ['enable_thinking', 'thinking'],
    ['continue_final_message', 'messages'],
  ]);
}

function withoutUndefined(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
