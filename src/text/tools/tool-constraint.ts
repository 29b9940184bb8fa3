/** What a reply must look like so that the tools are used as the request asked: a format for the grammar, in the parser's own call syntax. */
import { TroupeError } from '../../core/errors.ts';
import type { ToolFunction, ToolUse } from '../../core/generation.ts';
import type { CallSyntax, ToolDialect } from './tool-parser.ts';

/** A format of XGrammar's structural tags. */
export type Format = Readonly<Record<string, unknown>>;

export interface ToolConstraintOptions {
  readonly tools: ToolUse;
  readonly dialect: ToolDialect | null;
  readonly templateSource: string;
  /** The format of JSON that matches a schema. @throws TroupeError naming `param` where the schema cannot be enforced. */
  readonly schemaFormat: (schema: unknown, param: string) => Format;
  /** What `response_format` asks of a reply that calls nothing. */
  readonly answer: Format | null;
}

/**
 * required, or a named function: calls and nothing else. auto: with strict functions, or with one call at most, a call that is begun has
 * a known name and arguments that match; beside `response_format` a reply is either calls or what that asks for. Null = anything goes.
 * @throws TroupeError invalid_request when the parser cannot enforce calls.
 */
export function toolConstraint({ tools, dialect, templateSource, schemaFormat, answer }: ToolConstraintOptions): Format | null {
  const { choice, parallel } = tools;
  const syntax = dialect?.syntax?.(templateSource) ?? null;
  if (!syntax) {
    if (choice !== 'auto') throw notEnforceable(dialect);
    return answer;
  }
  const named = typeof choice === 'string' ? null : choice.name;
  const tags = () => callTags(tools, syntax, schemaFormat, named);
  if (choice !== 'auto') return callsOnly(tags(), syntax, named !== null || !parallel);
  // The grammar joins formats only where it sees the end of each.
  if (answer) return anyOf([answer, callsOnly(tags(), syntax, !parallel || syntax.suffix === '')]);
  const isStrict = tools.functions.some((fn) => fn.strict === true);
  if ((!isStrict && parallel) || syntax.trigger === null) return null;
  return callsInText(tags(), syntax, syntax.trigger, !parallel);
}

interface Tag extends Format {
  readonly type: 'tag';
  readonly begin: string;
  readonly content: Format;
  readonly end: string;
}

/** A call of each function, or of the named one. */
function callTags(
  { functions, choice }: ToolUse,
  syntax: CallSyntax,
  schemaFormat: ToolConstraintOptions['schemaFormat'],
  named: string | null,
): Tag[] {
  const tagOf = (fn: ToolFunction, index: number): Tag => {
    const schema = choice === 'auto' && fn.strict !== true ? { type: 'object' } : (fn.parameters ?? NO_ARGUMENTS);
    const content = schemaFormat(schema, `tools[${index}].function.parameters`);
    return { type: 'tag', begin: syntax.begin(fn.name), content, end: syntax.end };
  };
  return functions.flatMap((fn, index) => (named === null || fn.name === named ? [tagOf(fn, index)] : []));
}

const NO_ARGUMENTS = { type: 'object', properties: {}, additionalProperties: false };

function callsOnly(tags: readonly Tag[], syntax: CallSyntax, isSingle: boolean): Format {
  if (isSingle) return anyOf(oneCall(tags, syntax));
  if (syntax.suffix !== '') return severalCalls(tags, syntax);
  return { type: 'sequence', elements: [{ type: 'const_string', value: syntax.prefix }, listOf(tags, syntax)] };
}

function callsInText(tags: readonly Tag[], syntax: CallSyntax, trigger: string, isSingle: boolean): Format {
  const asOne = isSingle || syntax.suffix === '';
  const triggered = asOne ? oneCall(tags, syntax) : [severalCalls(tags, syntax)];
  return { type: 'triggered_tags', triggers: [trigger], tags: triggered, at_least_one: false, stop_after_first: isSingle };
}

const oneCall = (tags: readonly Tag[], { prefix, suffix }: CallSyntax): Tag[] =>
  tags.map((tag) => ({ ...tag, begin: prefix + tag.begin, end: tag.end + suffix }));

const severalCalls = (tags: readonly Tag[], syntax: CallSyntax): Tag => ({
  type: 'tag',
  begin: syntax.prefix,
  content: listOf(tags, syntax),
  end: syntax.suffix,
});

const listOf = (tags: readonly Tag[], { separator }: CallSyntax): Format => ({
  type: 'tags_with_separator',
  tags,
  separator,
  at_least_one: true,
  stop_after_first: false,
});

const anyOf = (elements: readonly Format[]): Format => (elements.length === 1 ? elements[0]! : { type: 'or', elements });

function notEnforceable(dialect: ToolDialect | null): TroupeError {
  const why = dialect
    ? `its parser "${dialect.name}" describes no call syntax`
    : 'it serves its model without a tool parser (--tool-call-parser)';
  return new TroupeError('invalid_request', `This server cannot enforce tool calls: ${why}. Use tool_choice "auto".`, {
    param: 'tool_choice',
  });
}
