/** Words that must not be generated, as token sequences whose last id is banned after the others. */
import type { Tokenizer } from './tokenizer.ts';

/**
 * A word is banned as it stands and with a space before it, as the beginning of a word inside a text: FastDeploy's rule. (vLLM leaves
 * out the second where it has another number of tokens, and then the word still comes.) Leading spaces of the word do not count; an
 * empty word bans nothing.
 */
export function badWordIds(tokenizer: Pick<Tokenizer, 'encode'>, words: readonly string[]): number[][] {
  return words.flatMap((word) => {
    const bare = tokenizer.encode(word.trimStart());
    if (bare.length === 0) return [];
    const spaced = tokenizer.encode(` ${word.trimStart()}`);
    return endsWith(spaced, bare) ? [bare] : [bare, spaced];
  });
}

/** Whether the space is a token of its own, or none: then the bare word covers both. */
function endsWith(ids: readonly number[], end: readonly number[]): boolean {
  return end.every((id, i) => ids[ids.length - end.length + i] === id);
}
