/** The fields of OpenAI's Responses API. Unknown ones are dropped; those that this server cannot do are refused by name. */
import { z } from 'zod';
import { FieldError } from '../error-reply.ts';
import { checkBody, withoutNulls } from '../request-body.ts';
import { dictionary, FIELD_REQUIRED, flag, integer, number, text, textList } from '../schema-fields.ts';

type Fields = Readonly<Record<string, unknown>>;

const FORMATS = "Input should be 'text', 'json_object' or 'json_schema'";
const format = z.looseObject(
  {
    type: z.enum(['text', 'json_object', 'json_schema'], FORMATS),
    name: text.optional(),
    schema: dictionary.optional(),
    strict: flag.nullish(),
    description: text.nullish(),
  },
  'Input should be a valid dictionary',
);

const tool = z.looseObject(
  { type: text, name: text.optional(), description: text.nullish(), parameters: dictionary.nullish(), strict: flag.nullish() },
  'Input should be a valid dictionary',
);

const CHOICES =
  'Input should be "none", "auto", "required", {"type": "function", "name": …} or {"type": "allowed_tools", "mode": …, "tools": …}';
const namedFunction = z.looseObject({ type: z.literal('function'), name: text });
const allowedTools = z.looseObject({
  type: z.literal('allowed_tools'),
  mode: z.enum(['auto', 'required']),
  tools: z.array(namedFunction).min(1),
});

export const responsesSchema = z.object({
  model: text.optional(),
  /** Its items are checked where they are read: items.ts. */
  input: z.union([z.string(), z.array(dictionary)], 'Input should be a valid string or a list of items'),
  instructions: text.optional(),
  previous_response_id: text.optional(),
  store: flag.default(true),
  stream: flag.default(false),
  max_output_tokens: integer({ min: 1 }).optional(),
  temperature: number({ min: 0 }).optional(),
  top_p: number({ min: 0, max: 1 }).optional(),
  top_logprobs: integer({ min: 0 }).optional(),
  tools: z.array(tool, 'Input should be a valid list').default([]),
  tool_choice: z.union([z.enum(['none', 'auto', 'required']), namedFunction, allowedTools], CHOICES).default('auto'),
  parallel_tool_calls: flag.default(true),
  max_tool_calls: integer({ min: 1 }).optional(),
  text: z.looseObject({ format: format.nullish(), verbosity: text.nullish() }, 'Input should be a valid dictionary').optional(),
  reasoning: z.looseObject({ effort: text.nullish(), summary: text.nullish() }, 'Input should be a valid dictionary').optional(),
  include: textList.default([]),
  truncation: z.enum(['auto', 'disabled'], "Input should be 'auto' or 'disabled'").default('disabled'),
  metadata: z.record(z.string(), text, 'Input should be a valid dictionary').default({}),
  service_tier: text.optional(),
  user: text.optional(),
  safety_identifier: text.optional(),
  prompt_cache_key: text.optional(),
});

export type ResponsesBody = z.output<typeof responsesSchema>;

/** What asks for something else than an answer from this server's model, now. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  background: 'the answer comes in the reply; use `stream` for a long one',
  conversation: 'use `previous_response_id`',
  prompt: 'send the prompt itself in `instructions` and `input`',
  context_management: 'use `truncation`',
  moderation: 'leave it out',
};

/** @throws FieldError naming the first wrong field as the client spelled it. */
export function checkResponses(fields: Fields): ResponsesBody {
  const given = withoutNulls(fields);
  for (const [field, instead] of Object.entries(UNSUPPORTED)) {
    const value = given[field];
    if (value === undefined || value === false || (Array.isArray(value) && value.length === 0)) continue;
    throw new FieldError('unsupported_parameter', `This server does not support \`${field}\`: ${instead}.`, { param: field });
  }
  if (given.input === undefined) throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param: 'input' });
  const body = checkBody(responsesSchema, given);
  checkTools(body.tools);
  const format = body.text?.format;
  for (const field of ['name', 'schema'] as const) {
    if (format?.type !== 'json_schema' || format[field] !== undefined) continue;
    throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param: `text.format.${field}` });
  }
  return body;
}

function checkTools(tools: ResponsesBody['tools']): void {
  for (const [i, { type, name }] of tools.entries()) {
    if (type !== 'function') {
      const message = `Tools of type "${type}" are not supported, only functions are.`;
      throw new FieldError('unsupported_parameter', message, { param: `tools[${i}].type` });
    }
    if (name === undefined) throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param: `tools[${i}].name` });
  }
}
