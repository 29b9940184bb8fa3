/** Splits calls of tools from what a model says, while it streams. One file per way to write calls; registry.ts knows their names. */
import type { ToolUse } from '../../core/generation.ts';

/** A piece of one call; the first has the name. The `arguments` of all pieces joined are the model's own text, not written anew. */
export interface CallPiece {
  /** Of the call within the choice, from 0. */
  readonly index: number;
  readonly name?: string;
  readonly arguments: string;
}

export interface ToolPiece {
  readonly content: string;
  readonly calls: readonly CallPiece[];
}

/** One per choice. The pieces joined do not depend on how the text was cut. */
export interface ToolParser {
  push(text: string): ToolPiece;
  /** What was held back, when no text follows. */
  flush(): ToolPiece;
}

/**
 * How calls look, for the grammar that enforces them: `prefix call separator call … suffix`, and a call is `begin(name) arguments end`.
 * What stands around each call is best told as `prefix`, `suffix`, and `separator` with both: the grammar must see where a list of calls ends.
 */
export interface CallSyntax {
  readonly prefix: string;
  begin(name: string): string;
  readonly end: string;
  /** Not empty. */
  readonly separator: string;
  readonly suffix: string;
  /** The beginning of all calls, which never begins anything else; null when plain text may look the same. */
  readonly trigger: string | null;
}

/** What stands behind a name of `--tool-call-parser`; a plugin registers the same. */
export interface ToolDialect {
  readonly name: string;
  /** Texts that mark calls. Where one is a special token of the vocabulary it is shown to the parser all the same. */
  readonly markers: readonly string[];
  newParser(tools: ToolUse): ToolParser;
  /**
   * Absent = calls cannot be enforced: `required`, a named function and `parallel_tool_calls: false` are then refused.
   * @param templateSource the model's chat template, where several spellings are in use; '' without one.
   */
  syntax?(templateSource: string): CallSyntax;
}

/** Whether a function of that name may be called. */
export function isToolOf({ functions }: ToolUse): (name: string) => boolean {
  const names = new Set(functions.map(({ name }) => name));
  return (name) => names.has(name);
}
