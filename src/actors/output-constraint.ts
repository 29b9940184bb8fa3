/** What the output of a request must match, as the engine gets it: an XGrammar structural tag as JSON text. */
import type { ConstraintSpec, GenerateRequest } from '../core/generation.ts';
import { afterPossibleThinking, afterThinking } from '../text/tools/after-thinking.ts';
import { type Format, toolConstraint } from '../text/tools/tool-constraint.ts';
import type { ToolDialect } from '../text/tools/tool-parser.ts';

/** Whether the output begins inside the reasoning (`open`), or the model may begin it (`possible`). */
export type ThinkingStart = 'open' | 'possible' | 'none';

export interface OutputConstraintOptions {
  /** Null = the model's calls cannot be read. */
  readonly dialect: ToolDialect | null;
  readonly templateSource: string;
  readonly thinking: () => ThinkingStart;
  /** @throws TroupeError naming the spec's `param` where it cannot be enforced. */
  readonly formatOf: (spec: ConstraintSpec) => Format;
}

/** @returns null when anything may be said. @throws TroupeError invalid_request for what cannot be enforced. */
export function outputConstraint(
  { tools, constraint }: GenerateRequest,
  { dialect, templateSource, thinking, formatOf }: OutputConstraintOptions,
): string | null {
  const answer = constraint ? formatOf(constraint) : null;
  const schemaFormat = (schema: unknown, param: string) => formatOf({ type: 'json_schema', schema, param });
  const format = tools ? toolConstraint({ tools, dialect, templateSource, schemaFormat, answer }) : answer;
  if (format === null) return null;
  const start = thinking();
  const whole = start === 'open' ? afterThinking(format) : start === 'possible' ? afterPossibleThinking(format) : format;
  return JSON.stringify({ type: 'structural_tag', format: whole });
}
