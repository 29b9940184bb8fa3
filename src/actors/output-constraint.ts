/** What the output of a request must match, as the engine gets it: an XGrammar structural tag as JSON text. */
import type { GenerateRequest } from '../core/generation.ts';
import { afterThinking } from '../text/tools/after-thinking.ts';
import { type Format, toolConstraint } from '../text/tools/tool-constraint.ts';
import type { ToolDialect } from '../text/tools/tool-parser.ts';

export interface OutputConstraintOptions {
  /** Null = the model's calls cannot be read. */
  readonly dialect: ToolDialect | null;
  readonly templateSource: string;
  /** The output begins inside the reasoning. */
  readonly isThinking: boolean;
  /** What the request asks of a reply that calls nothing. */
  readonly answer?: Format | null;
  /** The format of JSON that matches a schema. @throws TroupeError naming `param` where the schema cannot be enforced. */
  readonly schemaFormat?: (schema: unknown, param: string) => Format;
}

/** @returns null when anything may be said. @throws TroupeError invalid_request for what cannot be enforced. */
export function outputConstraint({ tools }: GenerateRequest, options: OutputConstraintOptions): string | null {
  const { dialect, templateSource, isThinking, answer = null, schemaFormat = plainSchema } = options;
  const format = tools ? toolConstraint({ tools, dialect, templateSource, schemaFormat, answer }) : answer;
  if (format === null) return null;
  return JSON.stringify({ type: 'structural_tag', format: isThinking ? afterThinking(format) : format });
}

const plainSchema = (schema: unknown): Format => ({ type: 'json_schema', json_schema: schema });
