/** Log-probabilities in the two forms of the API. */
import type { TokenLogprob } from '../core/generation.ts';

/** Chat: one entry per generated token. With no alternatives asked for, `top_logprobs` is an empty list. */
export function chatLogprobs(logprobs: readonly TokenLogprob[]) {
  return {
    content: logprobs.map(({ token, logprob, bytes, top }) => ({
      token,
      logprob,
      bytes,
      top_logprobs: top.map((other) => ({ token: other.token, logprob: other.logprob, bytes: other.bytes })),
    })),
    refusal: null,
  };
}

export interface TextLogprobs {
  readonly tokens: string[];
  readonly token_logprobs: number[];
  readonly top_logprobs: Record<string, number>[];
  /** Where each token begins in the choice's text, in Unicode characters. */
  readonly text_offset: number[];
}

/** Text completion: parallel lists. `top_logprobs` has the sampled token and up to k alternatives. */
export function textLogprobs(logprobs: readonly TokenLogprob[]): TextLogprobs {
  const form: TextLogprobs = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
  for (const { token, logprob, top, textOffset } of logprobs) {
    form.tokens.push(token);
    form.token_logprobs.push(logprob);
    // A null prototype, since a token may be called `__proto__`.
    const alternatives: Record<string, number> = Object.create(null);
    for (const other of top) alternatives[other.token] ??= other.logprob;
    alternatives[token] = logprob;
    form.top_logprobs.push(alternatives);
    form.text_offset.push(textOffset);
  }
  return form;
}
