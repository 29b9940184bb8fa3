/** The fields of Anthropic's Messages API. Unknown ones are dropped; those that this server cannot do are refused by name. */
import { z } from 'zod';
import { FieldError } from '../error-reply.ts';
import { checkBody, withoutNulls } from '../request-body.ts';
import { dictionary, FIELD_REQUIRED, flag, integer, number, text, textList } from '../schema-fields.ts';

type Fields = Readonly<Record<string, unknown>>;

const tool = z.looseObject(
  {
    type: text.nullish(),
    name: text.min(1, 'String should have at least 1 character').optional(),
    description: text.nullish(),
    input_schema: dictionary.optional(),
    strict: flag.nullish(),
  },
  'Input should be a valid dictionary',
);

const toolChoice = z.looseObject(
  {
    type: z.enum(['auto', 'any', 'tool', 'none'], "Input should be 'auto', 'any', 'tool' or 'none'"),
    name: text.optional(),
    disable_parallel_tool_use: flag.nullish(),
  },
  'Input should be a valid dictionary',
);

const thinking = z.looseObject(
  {
    type: z.enum(['enabled', 'disabled', 'adaptive'], "Input should be 'enabled', 'disabled' or 'adaptive'"),
    budget_tokens: integer({ min: 1 }).optional(),
  },
  'Input should be a valid dictionary',
);

const outputConfig = z.looseObject(
  {
    effort: text.nullish(),
    format: z
      .looseObject(
        { type: z.literal('json_schema', "Input should be 'json_schema'"), schema: dictionary },
        'Input should be a valid dictionary',
      )
      .nullish(),
  },
  'Input should be a valid dictionary',
);

const message = z.looseObject(
  {
    role: z.enum(['user', 'assistant', 'system'], "Input should be 'user', 'assistant' or 'system'"),
    /** Its blocks are checked where they are translated: conversation.ts. */
    content: z.union([z.string(), z.array(dictionary)], 'Input should be a valid string or a list of content blocks'),
  },
  'Input should be a valid dictionary',
);

const prompt = {
  model: text.optional(),
  messages: z.array(message, 'Input should be a valid list'),
  system: z.union([z.string(), z.array(dictionary)], 'Input should be a valid string or a list of text blocks').optional(),
  tools: z.array(tool, 'Input should be a valid list').default([]),
  tool_choice: toolChoice.optional(),
  thinking: thinking.optional(),
  output_config: outputConfig.optional(),
};

export const countTokensSchema = z.object(prompt);

export const messagesSchema = z.object({
  ...prompt,
  max_tokens: integer({ min: 1 }),
  stop_sequences: textList.default([]),
  stream: flag.default(false),
  temperature: number({ min: 0 }).optional(),
  top_p: number({ min: 0, max: 1 }).optional(),
  top_k: integer({ min: -1 }).optional(),
  metadata: z.looseObject({ user_id: text.nullish() }, 'Input should be a valid dictionary').optional(),
});

export type MessagesBody = z.output<typeof messagesSchema>;
export type MessagesPrompt = z.output<typeof countTokensSchema>;

/** @throws FieldError naming the first wrong field as the client spelled it. */
export function checkMessages(fields: Fields): MessagesBody {
  const given = checkedFields(fields, ['max_tokens', 'messages']);
  const body = checkBody(messagesSchema, given);
  checkTools(body);
  const budget = body.thinking?.type === 'enabled' ? body.thinking.budget_tokens : undefined;
  if (budget !== undefined && budget >= body.max_tokens) {
    throw new FieldError('invalid_value', '`max_tokens` must be greater than `thinking.budget_tokens`.', { param: 'max_tokens' });
  }
  return body;
}

/** The same for /v1/messages/count_tokens, which takes the prompt alone. */
export function checkCountTokens(fields: Fields): MessagesPrompt {
  const body = checkBody(countTokensSchema, checkedFields(fields, ['messages']));
  checkTools(body);
  return body;
}

function checkedFields(fields: Fields, required: readonly string[]): Fields {
  const given = withoutNulls(fields);
  for (const field of required) {
    if (!Object.hasOwn(given, field)) throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param: field });
  }
  for (const field of ['container', 'mcp_servers']) {
    const isEmpty = !Object.hasOwn(given, field) || (Array.isArray(given[field]) && given[field].length === 0);
    if (!isEmpty)
      throw new FieldError('unsupported_parameter', `This server does not support \`${field}\`: leave it out.`, { param: field });
  }
  return given;
}

/** A tool that the API's own servers would run is none that this one can. */
function checkTools({ tools, tool_choice, thinking }: MessagesPrompt): void {
  for (const [i, { type, name, input_schema }] of tools.entries()) {
    if (type !== undefined && type !== null && type !== 'custom') {
      throw new FieldError('unsupported_parameter', `Tools of type "${type}" are not supported, only custom tools are.`, {
        param: `tools[${i}].type`,
      });
    }
    if (name === undefined) throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param: `tools[${i}].name` });
    if (!input_schema) throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param: `tools[${i}].input_schema` });
  }
  if (tools.length === 0 && (tool_choice?.type === 'any' || tool_choice?.type === 'tool')) {
    throw new FieldError('invalid_value', `\`tool_choice\` asks for a tool, and there are no \`tools\`.`, { param: 'tool_choice' });
  }
  if (tool_choice?.type === 'tool' && tool_choice.name === undefined) {
    throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param: 'tool_choice.name' });
  }
  if (thinking?.type === 'enabled' && thinking.budget_tokens === undefined) {
    throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param: 'thinking.budget_tokens' });
  }
}
