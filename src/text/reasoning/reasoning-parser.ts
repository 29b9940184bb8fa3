/** Splits what a model thinks from what it says, while it streams. Which parser a model needs follows from its chat template. */
import { thinkTagsFor } from './think-tags.ts';

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

/** The parser for models with this chat template, or null when the template knows no reasoning. */
export function reasoningParserFor(templateSource: string): ReasoningParserFactory | null {
  return thinkTagsFor(templateSource);
}
