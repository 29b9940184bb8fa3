/** The prompt of a text completion as the beginning of its choices' text (`echo`). */
import type { Generation } from '../core/generation.ts';
import { addToken, noTextLogprobs, type TextLogprobs, type TokenNames } from './logprobs.ts';

export interface PromptEcho {
  readonly text: string;
  /** In Unicode characters. */
  readonly numChars: number;
  /** Null when none were asked for. */
  readonly logprobs: TextLogprobs | null;
}

export const NO_ECHO: PromptEcho = { text: '', numChars: 0, logprobs: null };

/** @param logprobs alternatives per token, -1 = all; undefined = no log-probabilities. */
export function promptEcho(generation: Generation, logprobs: number | undefined, names: TokenNames): PromptEcho {
  const text = generation.promptText();
  const numChars = countCharacters(text);
  return { text, numChars, logprobs: logprobs === undefined ? null : echoedLogprobs(generation, text, logprobs, names) };
}

function echoedLogprobs(generation: Generation, text: string, count: number, names: TokenNames): TextLogprobs {
  const form = noTextLogprobs();
  // Made anew by each call: once is enough.
  const tokens = generation.promptTokens();
  const offsets = tokenOffsets(text, tokens);
  const entries = generation.promptLogprobs() ?? [];
  for (const [i, tokenId] of generation.promptTokenIds.entries()) {
    const entry = entries[i];
    const token = tokens[i] ?? '';
    if (entry) addToken(form, entry, count === -1 ? entry.top : entry.top.slice(0, count), offsets[i] ?? 0, names);
    else {
      form.tokens.push(names === 'text' ? token : names === 'id' ? `token_id:${tokenId}` : '');
      form.token_logprobs.push(null);
      form.top_logprobs.push(null);
      form.text_offset.push(offsets[i] ?? 0);
    }
  }
  return form;
}

/**
 * Where each token begins in the text, in Unicode characters. A token that is not in the text at its place has no width: one that the
 * tokenizer put around it, or a part of a character.
 */
function tokenOffsets(text: string, tokens: readonly string[]): number[] {
  let at = 0;
  let numChars = 0;
  return tokens.map((token) => {
    const offset = numChars;
    if (text.startsWith(token, at)) {
      at += token.length;
      numChars += countCharacters(token);
    } else {
      // The characters that its bytes begin: at most as many as come before the next whole token.
      const numBegun = (token.match(/\\x(?:[c-f][0-9a-f])/g) ?? []).length;
      for (let i = 0; i < numBegun && at < text.length; i++, numChars++) at += text.codePointAt(at)! > 0xffff ? 2 : 1;
    }
    return offset;
  });
}

function countCharacters(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}
