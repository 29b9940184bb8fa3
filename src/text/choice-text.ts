/** From the token ids of one choice to the text a client sees: detokenizer → stop strings → reasoning. */
import { Detokenizer, type TokenTable } from './detokenizer.ts';
import { numCharacters } from './num-characters.ts';
import type { ReasoningParser } from './reasoning/reasoning-parser.ts';
import { StopMatcher } from './stop-matcher.ts';

export interface ChoiceTextOptions {
  readonly tokenizer: TokenTable;
  readonly skipSpecialTokens: boolean;
  /** Stop strings, matched on the raw decoded text, before reasoning is split off. */
  readonly stop: readonly string[];
  /** Keeps the stop string, or the text of the stop token, at the end of the output. */
  readonly includeStopStrInOutput: boolean;
  /** Fresh, for this choice only; null = everything is `text`. */
  readonly reasoning: ReasoningParser | null;
  /** Ids that end the choice; such a token's text is dropped unless includeStopStrInOutput. Empty of end-of-sequence ids with ignore_eos. */
  readonly stopTokenIds: ReadonlySet<number>;
  /** Text of this many first tokens is not searched for stop strings; default 0. */
  readonly minTokens?: number;
}

export interface ChoicePiece {
  readonly text: string;
  readonly reasoning: string;
  /** For each id of this push: where its text begins in the choice's decoded text, in Unicode characters. */
  readonly offsets: readonly number[];
  /** A stop string was completed by ids[numTokens - 1] of this push: the choice ends there and the ids after it do not count. */
  readonly stopped: { readonly numTokens: number; readonly stop: string } | null;
}

export class ChoiceText {
  readonly #options: ChoiceTextOptions;
  readonly #detokenizer: Detokenizer;
  readonly #stopMatcher: StopMatcher;
  #numTokens = 0;
  /** Of the decoded text, also while some of it is held back. */
  #numChars = 0;
  #numReasoningTokens = 0;
  /** The stop string that was found: nothing is output after it. */
  #stopString: string | null = null;

  constructor(options: ChoiceTextOptions) {
    this.#options = options;
    this.#detokenizer = new Detokenizer(options.tokenizer, { skipSpecialTokens: options.skipSpecialTokens });
    this.#stopMatcher = new StopMatcher(options.stop, options.includeStopStrInOutput);
  }

  /** Tokens that were generated inside the reasoning, without its markers. */
  get numReasoningTokens(): number {
    return this.#numReasoningTokens;
  }

  /** Takes the next ids of the choice, in order. After a stop string was found, further ids are ignored. */
  push(ids: readonly number[]): ChoicePiece {
    let text = '';
    let reasoning = '';
    const offsets: number[] = [];
    for (let i = 0; i < ids.length && this.#stopString === null; i++) {
      const wasReasoning = this.#options.reasoning?.isReasoning === true;
      offsets.push(this.#numChars);
      const decoded = this.#decode(ids[i]!);
      this.#numChars += numCharacters(decoded);
      const piece = this.#split(this.#match(decoded));
      text += piece.content;
      reasoning += piece.reasoning;
      if (wasReasoning && this.#options.reasoning?.isReasoning === true) this.#numReasoningTokens += 1;
      if (this.#stopString !== null) return { text, reasoning, offsets, stopped: { numTokens: i + 1, stop: this.#stopString } };
    }
    return { text, reasoning, offsets, stopped: null };
  }

  /** The text still held back, once, after the last push: half a character, the start of a stop string that never came. */
  finish(): { readonly text: string; readonly reasoning: string } {
    const rest = this.#stopString !== null ? '' : this.#match(this.#detokenizer.flush()) + this.#stopMatcher.flush();
    const piece = this.#split(rest);
    const held = this.#options.reasoning?.flush() ?? { reasoning: '', content: '' };
    return { text: piece.content + held.content, reasoning: piece.reasoning + held.reasoning };
  }

  #decode(id: number): string {
    this.#numTokens += 1;
    if (this.#options.stopTokenIds.has(id) && !this.#options.includeStopStrInOutput) return '';
    return this.#detokenizer.push(id);
  }

  #match(text: string): string {
    if (this.#numTokens <= (this.#options.minTokens ?? 0)) return text;
    const result = this.#stopMatcher.push(text);
    this.#stopString = result.matched;
    return result.text;
  }

  #split(text: string): { readonly reasoning: string; readonly content: string } {
    return this.#options.reasoning?.push(text) ?? { reasoning: '', content: text };
  }
}
