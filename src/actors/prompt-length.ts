/** How much of a prompt is kept, where the request says that it may be cut (`truncate_prompt_tokens`): always its end. */
import { TroupeError } from '../core/errors.ts';
import type { GenerateRequest } from '../core/generation.ts';

interface Limits {
  readonly maxModelLen: number;
}

/**
 * Tokens of the prompt to keep; null = it must not be cut. −1 leaves room for the tokens that the request asks for, at least one,
 * and for those it wants continued.
 * @throws TroupeError invalid_request
 */
export function keptPromptTokens(request: GenerateRequest, { maxModelLen }: Limits): number | null {
  const wanted = request.truncatePromptTokens;
  if (wanted === undefined) return null;
  const longest = maxModelLen - 1;
  if (!Number.isInteger(wanted) || wanted < -1 || wanted === 0 || wanted > longest) {
    const message = `truncate_prompt_tokens must be -1 (as many as the model takes) or 1 to ${longest}, but it is ${wanted}.`;
    throw new TroupeError('invalid_request', message, { param: 'truncate_prompt_tokens' });
  }
  if (wanted > 0) return wanted;
  const numOutput = Math.max(1, request.sampling.maxTokens ?? 1);
  return Math.max(1, maxModelLen - numOutput - (request.continuationIds?.length ?? 0));
}

/** More than any tokenizer looks back from one token to the next. */
const CUT_MARGIN_CHARS = 4096;

/** The end of a text that surely holds its last `numTokens` tokens: what is cut off anyway need not be encoded. */
export function endOfText(text: string, numTokens: number, maxCharsPerToken: number): string {
  const numChars = numTokens * maxCharsPerToken + CUT_MARGIN_CHARS;
  return text.length > 2 * numChars ? text.slice(-numChars) : text;
}
