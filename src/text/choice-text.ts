/** From the token ids of one choice to what a client sees: detokenizer → stop strings → reasoning → tool calls. */
import { Detokenizer, type TokenTable } from './detokenizer.ts';
import { numCharacters } from './num-characters.ts';
import type { ReasoningParser } from './reasoning/reasoning-parser.ts';
import { StopMatcher } from './stop-matcher.ts';
import type { CallPiece, ToolParser } from './tools/tool-parser.ts';

export interface ChoiceTextOptions {
  readonly tokenizer: TokenTable;
  readonly skipSpecialTokens: boolean;
  /** Stop strings, matched on the raw decoded text, before reasoning is split off. */
  readonly stop: readonly string[];
  /** Keeps the stop string, or the text of the stop token, at the end of the output. */
  readonly includeStopStrInOutput: boolean;
  /** Fresh, for this choice only; null = everything is `text`. */
  readonly reasoning: ReasoningParser | null;
  /** Fresh, for this choice only; reads the text that is no reasoning. Absent or null = calls are not searched. */
  readonly tools?: ToolParser | null;
  /** Special tokens that the parsers must see, also with skipSpecialTokens. */
  readonly shownTokenIds?: ReadonlySet<number>;
  /** Ids that end the choice; such a token's text is dropped unless includeStopStrInOutput. Empty of end-of-sequence ids with ignore_eos. */
  readonly stopTokenIds: ReadonlySet<number>;
  /** Text of this many first tokens is not searched for stop strings; default 0. */
  readonly minTokens?: number;
}

export interface ChoiceParts {
  readonly text: string;
  readonly reasoning: string;
  readonly calls: readonly CallPiece[];
}

export interface ChoicePiece extends ChoiceParts {
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
  #rawText = '';
  /** The stop string that was found: nothing is output after it. */
  #stopString: string | null = null;

  constructor(options: ChoiceTextOptions) {
    this.#options = options;
    const { skipSpecialTokens, shownTokenIds = new Set() } = options;
    this.#detokenizer = new Detokenizer(options.tokenizer, { skipSpecialTokens, shownTokenIds });
    this.#stopMatcher = new StopMatcher(options.stop, options.includeStopStrInOutput);
  }

  /** Tokens that were generated inside the reasoning, without its markers. */
  get numReasoningTokens(): number {
    return this.#numReasoningTokens;
  }

  /** The text since the last call, before reasoning and tool calls were split off. */
  takeRawText(): string {
    const raw = this.#rawText;
    this.#rawText = '';
    return raw;
  }

  /** Takes the next ids of the choice, in order. After a stop string was found, further ids are ignored. */
  push(ids: readonly number[]): ChoicePiece {
    let text = '';
    let reasoning = '';
    const calls: CallPiece[] = [];
    const offsets: number[] = [];
    for (let i = 0; i < ids.length && this.#stopString === null; i++) {
      const wasReasoning = this.#options.reasoning?.isReasoning === true;
      offsets.push(this.#numChars);
      const decoded = this.#decode(ids[i]!);
      this.#numChars += numCharacters(decoded);
      const piece = this.#split(this.#match(decoded));
      text += piece.text;
      reasoning += piece.reasoning;
      for (const call of piece.calls) calls.push(call);
      if (wasReasoning && this.#options.reasoning?.isReasoning === true) this.#numReasoningTokens += 1;
      if (this.#stopString !== null) return { text, reasoning, calls, offsets, stopped: { numTokens: i + 1, stop: this.#stopString } };
    }
    return { text, reasoning, calls, offsets, stopped: null };
  }

  /** The text still held back, once, after the last push: half a character, the start of a stop string that never came. */
  finish(): ChoiceParts {
    const rest = this.#stopString !== null ? '' : this.#match(this.#detokenizer.flush()) + this.#stopMatcher.flush();
    const { reasoning, tools } = this.#options;
    const piece = this.#split(rest);
    const held = reasoning?.flush() ?? { reasoning: '', content: '' };
    const before = tools?.push(held.content) ?? { content: held.content, calls: [] };
    const last = tools?.flush() ?? { content: '', calls: [] };
    return {
      text: piece.text + before.content + last.content,
      reasoning: piece.reasoning + held.reasoning,
      calls: [...piece.calls, ...before.calls, ...last.calls],
    };
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

  #split(decoded: string): ChoiceParts {
    this.#rawText += decoded;
    const { reasoning, content } = this.#options.reasoning?.push(decoded) ?? { reasoning: '', content: decoded };
    const { tools } = this.#options;
    if (!tools || content === '') return { text: content, reasoning, calls: NO_CALLS };
    const piece = tools.push(content);
    return { text: piece.content, reasoning, calls: piece.calls };
  }
}

const NO_CALLS: readonly CallPiece[] = [];
