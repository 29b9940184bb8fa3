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
  /** Number of alternatives whose log-probability is reported with every token; null = none at all, 0 = the sampled token only, -1 = the vocabulary. */
  readonly logprobs: number | null;
  readonly logprobsMode: LogprobsMode;
  /** Number of alternatives reported with every prompt token; null = none at all, 0 = the prompt's own tokens only, -1 = the vocabulary. */
  readonly promptLogprobs: number | null;
  /** What the output must match: an XGrammar structural tag, `{"type":"structural_tag","format":…}` as JSON text. Null = anything. */
  readonly constraint: string | null;
  readonly thinking: ThinkingLimits | null;
  /** Nothing is generated: the prompt is computed, and ends with the output of the final norm for its last token. */
  readonly pooling: boolean;
}

/**
 * What is reported (`--logprobs-mode`): of the untouched logits (raw), or of the logits after penalties, bias, bans and temperature
 * (processed); their log-softmax, or the logits themselves.
 */
export const LOGPROBS_KINDS = ['raw_logprobs', 'processed_logprobs', 'raw_logits', 'processed_logits'] as const;
export type LogprobsKind = (typeof LOGPROBS_KINDS)[number];

/** Which distribution a token's log-probability is of; FastDeploy's two switches. Neither = what `kind` says. */
export interface LogprobsMode {
  /** The server's; `raw_logprobs` where it is absent. */
  readonly kind?: LogprobsKind;
  /** Divide the logits by the temperature first. */
  readonly tempScaled: boolean;
  /** Renormalise within the top_p set. */
  readonly topPNormalized: boolean;
}

/** How long a model may think, told in ids so that the next token stays a pure function of params, prompt and output. */
export interface ThinkingLimits {
  /** Whether the prompt already opened the reasoning; otherwise it is open when the output begins with `startIds`. */
  readonly isOpen: boolean;
  readonly startIds: readonly number[];
  /** Their first occurrence in the output closes the reasoning. */
  readonly endIds: readonly number[];
  /** Tokens of reasoning after which `forcedIds` follow whatever the model says; null = no limit. */
  readonly maxTokens: number | null;
  readonly forcedIds: readonly number[];
  /** Tokens after the reasoning at most; null = no limit. */
  readonly maxAnswerTokens: number | null;
}

export const RAW_LOGPROBS: LogprobsMode = { tempScaled: false, topPNormalized: false };

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
  logprobsMode: RAW_LOGPROBS,
  promptLogprobs: null,
  constraint: null,
  thinking: null,
  pooling: false,
};

/** Values that a request's prompt log-probabilities may be together, over all its choices and prompts: they are kept, and sent, as a whole. */
export const MAX_PROMPT_LOGPROBS = 500_000;

/** Values that the log-probabilities of one prompt are, each choice telling them all. @param count alternatives per token, -1 = the vocabulary. */
export function numPromptLogprobs(count: number, of: { numPromptTokens: number; numChoices: number; vocabSize: number }): number {
  return (1 + (count < 0 ? of.vocabSize : count)) * of.numPromptTokens * of.numChoices;
}
