/** Splits what a model thinks from what it says, while it streams. registry.ts knows the parsers' names. */

export interface ReasoningPiece {
  readonly reasoning: string;
  readonly content: string;
}

/** One per choice. The pieces joined do not depend on how the text was cut. */
export interface ReasoningParser {
  /** Whether text pushed now would be reasoning. */
  readonly isReasoning: boolean;
  push(text: string): ReasoningPiece;
  /** What was held back, when no text follows. */
  flush(): ReasoningPiece;
}

/** Called with the rendered prompt, which may already have opened the reasoning. */
export type ReasoningParserFactory = (renderedPrompt: string) => ReasoningParser;

/** What stands behind a name of `--reasoning-parser`. */
export interface ReasoningDialect {
  readonly name: string;
  /** Texts that mark reasoning. Where one is a special token of the vocabulary it is shown to the parser all the same. */
  readonly markers: readonly string[];
  readonly newParser: ReasoningParserFactory;
}
