/** What a client gets of one choice: token ids in, deltas out, text, reasoning, ids and log-probabilities in step with each other. */
import type { FinishReason, TextDelta, TokenLogprob, ToolCallDelta, TopLogprob } from '../core/generation.ts';
import type { ChoiceParts, ChoiceText } from '../text/choice-text.ts';
import { numCharacters } from '../text/num-characters.ts';
import type { WireLogprob } from '../transport/messages.ts';
import type { RepetitionStop } from './early-stop.ts';

/** What is needed of text/tokenizer.ts. */
export interface TokenNames {
  tokenText(id: number): string;
  tokenBytes(id: number): Uint8Array;
}

export interface ChoiceOutputOptions {
  readonly index: number;
  readonly text: ChoiceText;
  readonly tokens: TokenNames;
  /** A delta for every push, also while text is held back. */
  readonly wantTokenIds: boolean;
  readonly wantLogprobs: boolean;
  /** Needs log-probabilities with every push; absent = off. */
  readonly earlyStop?: RepetitionStop | undefined;
  /** How calls of tools are named and end the choice; absent without tools. */
  readonly calls?: CallOptions | undefined;
}

export interface CallOptions {
  /** Of the choice's call with this index. */
  newId(index: number): string;
  /** A stop after calls is told as `tool_calls`; not where the request named the function. */
  readonly endAsCalls: boolean;
}

/** What one push came to: how many of its tokens count, and how the choice ended with them. */
export interface PushResult {
  readonly numTokens: number;
  readonly finish: FinishReason | null;
  /** Null while there is nothing to tell yet. */
  readonly delta: TextDelta | null;
}

export class ChoiceOutput {
  readonly #options: ChoiceOutputOptions;
  /** Tokens since the last delta. */
  #tokenIds: number[] = [];
  #logprobs: TokenLogprob[] = [];
  /** Of all deltas so far, in Unicode characters. */
  #numChars = 0;
  #hasCalls = false;

  constructor(options: ChoiceOutputOptions) {
    this.#options = options;
  }

  get numReasoningTokens(): number {
    return this.#options.text.numReasoningTokens;
  }

  /** Takes the next tokens; a stop string among their text ends the choice before the engine knows of it. */
  push(ids: readonly number[], logprobs: readonly WireLogprob[] | null, engineFinish: FinishReason | null): PushResult {
    const { earlyStop } = this.#options;
    const last = earlyStop ? (logprobs ?? []).findIndex(([logprob]) => earlyStop.take(logprob)) : -1;
    const piece = this.#options.text.push(last < 0 ? ids : ids.slice(0, last + 1));
    const numTokens = piece.stopped?.numTokens ?? (last < 0 ? ids.length : last + 1);
    const finish = piece.stopped || last >= 0 ? 'stop' : engineFinish;
    for (let i = 0; i < numTokens; i++) {
      this.#tokenIds.push(ids[i]!);
      const entry = logprobs?.[i];
      if (entry && this.#options.wantLogprobs) this.#logprobs.push(toTokenLogprob(this.#options.tokens, ids[i]!, entry, piece.offsets[i]!));
    }
    return { numTokens, finish, delta: this.#delta(piece, finish, piece.stopped?.stop) };
  }

  /** The last delta of a choice that ends without further tokens. */
  end(finish: FinishReason): TextDelta {
    return this.#delta({ text: '', reasoning: '', calls: [] }, finish)!;
  }

  #delta(piece: ChoiceParts, finish: FinishReason | null, stopString?: string): TextDelta | null {
    const rest = finish === null ? null : this.#options.text.finish();
    const text = rest ? piece.text + rest.text : piece.text;
    const reasoning = rest ? piece.reasoning + rest.reasoning : piece.reasoning;
    const toolCalls = this.#toolCalls(rest ? [...piece.calls, ...rest.calls] : piece.calls);
    const hasNews = text !== '' || reasoning !== '' || toolCalls.length > 0;
    const isWorthTelling = finish !== null || hasNews || (this.#options.wantTokenIds && this.#tokenIds.length > 0);
    if (!isWorthTelling) return null;
    if (this.#options.wantLogprobs) this.#countCharacters(text, finish !== null);
    const rawText = this.#options.text.takeRawText();
    const delta: TextDelta = {
      choice: this.#options.index,
      text,
      reasoning,
      ...(toolCalls.length > 0 && { toolCalls }),
      ...(this.#options.wantTokenIds && { rawText }),
      tokenIds: this.#tokenIds,
      logprobs: this.#options.wantLogprobs ? this.#logprobs : null,
      finishReason: finish === 'stop' && this.#hasCalls && this.#options.calls?.endAsCalls ? 'tool_calls' : finish,
      ...(stopString !== undefined && { stopString }),
    };
    this.#tokenIds = [];
    this.#logprobs = [];
    return delta;
  }

  #toolCalls(pieces: ChoiceParts['calls']): ToolCallDelta[] {
    const { calls } = this.#options;
    if (!calls || pieces.length === 0) return [];
    this.#hasCalls = true;
    return pieces.map((piece) => (piece.name === undefined ? piece : { ...piece, id: calls.newId(piece.index) }));
  }

  /** A stop string takes its text with it: its tokens then begin where the text ends. */
  #countCharacters(text: string, isLast: boolean): void {
    this.#numChars += numCharacters(text);
    if (!isLast) return;
    this.#logprobs = this.#logprobs.map((entry) => ({ ...entry, textOffset: Math.min(entry.textOffset, this.#numChars) }));
  }
}

/** Two deltas of the same choice as one: how a slow reader's queue stays short. Null when they belong to different choices. */
export function mergeDeltas(waiting: TextDelta, next: TextDelta): TextDelta | null {
  if (waiting.choice !== next.choice) return null;
  return {
    choice: next.choice,
    text: waiting.text + next.text,
    reasoning: waiting.reasoning + next.reasoning,
    ...(next.toolCalls
      ? { toolCalls: mergedCalls(waiting.toolCalls ?? [], next.toolCalls) }
      : waiting.toolCalls && { toolCalls: waiting.toolCalls }),
    ...(next.rawText !== undefined && { rawText: (waiting.rawText ?? '') + next.rawText }),
    tokenIds: appended(waiting.tokenIds, next.tokenIds),
    logprobs: waiting.logprobs && next.logprobs ? appended(waiting.logprobs, next.logprobs) : null,
    finishReason: next.finishReason,
    ...(next.stopString !== undefined && { stopString: next.stopString }),
  };
}

/** Arguments of the same call become one piece; the piece with the name stays alone, as clients know it. */
function mergedCalls(waiting: readonly ToolCallDelta[], next: readonly ToolCallDelta[]): readonly ToolCallDelta[] {
  const merged = [...waiting];
  for (const piece of next) {
    const last = merged.at(-1);
    const goesOn = last?.index === piece.index && last.name === undefined && piece.name === undefined;
    if (goesOn) merged[merged.length - 1] = { index: piece.index, arguments: last.arguments + piece.arguments };
    else merged.push(piece);
  }
  return merged;
}

/** The waiting delta is ours alone until it is read, so its arrays grow in place instead of being copied for every token. */
function appended<T>(to: readonly T[], more: readonly T[]): readonly T[] {
  for (const item of more) (to as T[]).push(item);
  return to;
}

function toTokenLogprob(tokens: TokenNames, id: number, [logprob, topIds, topLogprobs]: WireLogprob, textOffset: number): TokenLogprob {
  const top = topIds.map((topId, i) => named(tokens, topId, topLogprobs[i]!));
  return { ...named(tokens, id, logprob), top, textOffset };
}

const named = (tokens: TokenNames, tokenId: number, logprob: number): TopLogprob => ({
  tokenId,
  token: tokens.tokenText(tokenId),
  bytes: Array.from(tokens.tokenBytes(tokenId)),
  logprob,
});
