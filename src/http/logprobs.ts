/** Log-probabilities in the forms of the API: of chat, of text completion, of prompts. */
import type { PromptTokenLogprob, TokenLogprob, TopLogprob } from '../core/generation.ts';

/** How tokens are named: by their text, by `token_id:5`, or not at all. */
export type TokenNames = 'text' | 'id' | 'none';

export function tokenNamesOf(body: {
  readonly return_tokens_as_token_ids: boolean;
  readonly include_logprobs_decode_token: boolean;
}): TokenNames {
  if (body.return_tokens_as_token_ids) return 'id';
  return body.include_logprobs_decode_token ? 'text' : 'none';
}

/** JSON has no infinities: what cannot be sampled has FastDeploy's and vLLM's lowest number. */
const LOWEST = -9999;
const finite = (logprob: number): number => Math.max(logprob, LOWEST);
const idName = ({ tokenId }: TopLogprob): string => `token_id:${tokenId}`;

/** Chat: one entry per generated token. With no alternatives asked for, `top_logprobs` is an empty list. */
export function chatLogprobs(logprobs: readonly TokenLogprob[], names: TokenNames = 'text') {
  const entry = (token: TopLogprob) => ({
    token: names === 'text' ? token.token : names === 'id' ? idName(token) : '',
    logprob: finite(token.logprob),
    bytes: names === 'none' ? null : token.bytes,
  });
  return { content: logprobs.map((token) => ({ ...entry(token), top_logprobs: token.top.map(entry) })), refusal: null };
}

export interface TextLogprobs {
  readonly tokens: string[];
  /** The first token of an echoed prompt has none. */
  readonly token_logprobs: (number | null)[];
  readonly top_logprobs: (Record<string, number> | null)[];
  /** Where each token begins in the choice's text, in Unicode characters. */
  readonly text_offset: number[];
}

export const noTextLogprobs = (): TextLogprobs => ({ tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] });

/**
 * Text completion: parallel lists. `top_logprobs` has the sampled token and up to k alternatives; they are named by their ids where
 * tokens are not named, since names are its keys.
 * @param offset characters of the choice's text before the output: those of an echoed prompt.
 */
export function textLogprobs(logprobs: readonly TokenLogprob[], names: TokenNames = 'text', offset = 0): TextLogprobs {
  const form = noTextLogprobs();
  for (const entry of logprobs) addToken(form, entry, entry.top, entry.textOffset + offset, names);
  return form;
}

export function addToken(form: TextLogprobs, token: TopLogprob, top: readonly TopLogprob[], textOffset: number, names: TokenNames): void {
  const key = names === 'text' ? (other: TopLogprob) => other.token : idName;
  form.tokens.push(names === 'none' ? '' : key(token));
  form.token_logprobs.push(finite(token.logprob));
  // A null prototype, since a token may be called `__proto__`.
  const alternatives: Record<string, number> = Object.create(null);
  for (const other of top) alternatives[key(other)] ??= finite(other.logprob);
  alternatives[key(token)] = finite(token.logprob);
  form.top_logprobs.push(alternatives);
  form.text_offset.push(textOffset);
}

interface PromptTokenReply {
  readonly logprob: number;
  readonly rank: number;
  readonly decoded_token: string | null;
}

/**
 * Of a prompt: for each token an object from token id to log-probability, with the token itself and the best `count` others; null
 * for the first token.
 * @param count -1 = all that are there.
 */
export function promptLogprobsReply(logprobs: readonly (PromptTokenLogprob | null)[] | null, count: number, names: TokenNames) {
  return (logprobs ?? []).map((entry): Record<string, PromptTokenReply> | null => {
    if (entry === null) return null;
    const kept = count === -1 ? entry.top : entry.top.slice(0, count);
    return Object.fromEntries(
      [...kept, entry].map(({ tokenId, logprob, rank, token }) => [
        tokenId,
        { logprob: finite(logprob), rank, decoded_token: names === 'none' ? null : token },
      ]),
    );
  });
}
