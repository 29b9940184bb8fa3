/**
 * How the next token is chosen, in token ids only: what the engine gets. The text-level fields of the API (stop strings, bad words)
 * are turned into ids, or matched on decoded text, by the frontend.
 */
export interface SamplingParams {
  /** 0 = argmax. Any finite number ≥ 0. */
  readonly temperature: number;
  /** ≤ 0 = off. */
  readonly topK: number;
  /** 1 = off. */
  readonly topP: number;
  /** 0 = off. */
  readonly minP: number;
  /** 1 = off; over prompt and output. */
  readonly repetitionPenalty: number;
  /** 0 = off; over the output. */
  readonly presencePenalty: number;
  /** 0 = off; over the output. */
  readonly frequencyPenalty: number;
  /** Added to the logits after the penalties. */
  readonly logitBias: readonly (readonly [tokenId: number, bias: number])[];
  /** Token sequences never to be generated: the last id is banned after the others matched. */
  readonly badWords: readonly (readonly number[])[];
  /** Tokens to generate before `stopTokenIds` may be sampled or a stop may take effect. */
  readonly minTokens: number;
  /** Tokens to generate at most, those of earlier attempts included. */
  readonly maxTokens: number;
  /** End-of-sequence ids (none with ignore_eos) and the request's own stop ids. */
  readonly stopTokenIds: readonly number[];
  /** Number of alternatives whose raw log-probability is reported with every token; null = none at all, 0 = the sampled token only. */
  readonly logprobs: number | null;
}

export const GREEDY: SamplingParams = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
  badWords: [],
  minTokens: 0,
  maxTokens: Number.MAX_SAFE_INTEGER,
  stopTokenIds: [],
  logprobs: null,
};
