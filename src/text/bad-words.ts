/** Words that must not be generated, as token sequences whose last id is banned after the others. */
import type { Tokenizer } from './tokenizer.ts';

/**
 * vLLM's rule: a word is banned as it stands and, where a space before it makes a different first token of a sequence just as long, also
 * as the beginning of a word inside a text. Leading spaces of the word do not count; an empty word bans nothing.
 */
export function badWordIds(tokenizer: Pick<Tokenizer, 'encode'>, words: readonly string[]): number[][] {
  return words.flatMap((word) => {
    const bare = tokenizer.encode(word.trimStart());
    if (bare.length === 0) return [];
    const spaced = tokenizer.encode(` ${word.trimStart()}`);
    return spaced[0] !== bare[0] && spaced.length === bare.length ? [bare, spaced] : [bare];
  });
}
