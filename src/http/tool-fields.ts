/** The tools that the model may call, and which of them it must. */
import { z } from 'zod';
import type { ToolFunction, ToolUse } from '../core/generation.ts';
import { FieldError } from './error-reply.ts';
import { atMost, flag, text } from './schema-fields.ts';

const MAX_TOOLS = 1024;

const functionName = text.regex(/^[\w.-]{1,128}$/, 'A function name has 1 to 128 letters, digits, underscores, dots or dashes');

const tool = z.looseObject(
  {
    type: z.literal('function', 'Only tools of type "function" are supported'),
    function: z.looseObject(
      {
        name: functionName,
        description: text.nullish(),
        parameters: z.record(z.string(), z.unknown(), 'Input should be a valid dictionary').nullish(),
        strict: flag.nullish(),
      },
      'Input should be a valid dictionary',
    ),
  },
  'Input should be a valid dictionary',
);

const tools = atMost(MAX_TOOLS, z.array(tool, 'Input should be a valid list')).superRefine((list, context) => {
  const seen = new Set<string>();
  for (const [i, { function: declared }] of list.entries()) {
    if (seen.has(declared.name)) {
      context.addIssue({ code: 'custom', message: `The function ${declared.name} is declared twice`, path: [i, 'function', 'name'] });
    }
    seen.add(declared.name);
  }
});

const CHOICES = 'Input should be "none", "auto", "required" or {"type": "function", "function": {"name": …}}';
const namedFunction = z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: text }) });
const allowedTools = z.looseObject({
  type: z.literal('allowed_tools'),
  allowed_tools: z.looseObject({ mode: z.enum(['auto', 'required']), tools: z.array(namedFunction).min(1) }),
});
const toolChoice = z.union([z.enum(['none', 'auto', 'required']), namedFunction, allowedTools], CHOICES);

export const toolFields = {
  tools: tools.default([]),
  tool_choice: toolChoice.optional(),
  parallel_tool_calls: flag.default(true),
};

type ToolBody = z.output<z.ZodObject<typeof toolFields>>;

/**
 * What the model may call; undefined = nothing, and then the prompt shows no tools either.
 * @throws FieldError for a choice without tools, or of a function that is not among them.
 */
export function toolUseOf({ tools, tool_choice, parallel_tool_calls }: ToolBody): ToolUse | undefined {
  if (tool_choice === 'none') return undefined;
  if (tools.length === 0) {
    if (tool_choice === undefined) return undefined;
    throw new FieldError('invalid_value', 'When using `tool_choice`, `tools` must be set.', { param: 'tool_choice' });
  }
  const functions = tools.map(({ function: declared }) => toFunction(declared));
  const use = { functions, parallel: parallel_tool_calls };
  if (tool_choice === undefined || typeof tool_choice === 'string') return { ...use, choice: tool_choice ?? 'auto' };
  if ('function' in tool_choice)
    return { ...use, choice: { name: declaredName(functions, namedFunction.parse(tool_choice).function.name) } };
  const { mode, tools: allowed } = allowedTools.parse(tool_choice).allowed_tools;
  const names = new Set(allowed.map((entry) => declaredName(functions, entry.function.name)));
  return { ...use, functions: functions.filter(({ name }) => names.has(name)), choice: mode };
}

function toFunction({ name, parameters, strict }: ToolBody['tools'][number]['function']): ToolFunction {
  return { name, ...(parameters && { parameters }), ...(strict && { strict }) };
}

function declaredName(functions: readonly ToolFunction[], name: string): string {
  if (functions.some((declared) => declared.name === name)) return name;
  throw new FieldError('invalid_value', `tool_choice names the function ${name}, which is not among the tools.`, { param: 'tool_choice' });
}
