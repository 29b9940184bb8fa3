/** The model's tokenizer and chat template for whoever wants to see what a request would become. */
import type { Prompt } from './generation.ts';

export interface TextTools {
  /**
   * The token ids of a prompt, exactly as a generation would get them; longer ones than the model takes are counted too.
   * @throws TroupeError invalid_request: no chat template, a template's complaint, too much text.
   */
  tokenize(prompt: Prompt, signal: AbortSignal): Promise<readonly number[]>;
  /** Special tokens included. @throws TroupeError invalid_request: an id that is not in the vocabulary. */
  detokenize(tokenIds: readonly number[]): string;
  /** Each token as the vocabulary spells it, e.g. `Ġworld`. */
  tokenNames(tokenIds: readonly number[]): readonly string[];
}
