/** Fields that both generation endpoints take: how tokens are chosen, where the text ends, what is told about it. */
import { z } from 'zod';
import { constraintFields } from './constraint-fields.ts';
import { atMost, flag, integer, number, text, textList, tokenIdProblem, tokenIds } from './schema-fields.ts';

const MAX_STOP_SEQUENCES = 16;
const MAX_STOP_LENGTH = 1024;
/** FastDeploy's bound. As a JSON number it loses its last digits, so it is spelled here for the message. */
const MAX_SEED = '922337203685477580';
/** Lists that are walked for every request, or every token, on threads that serve everyone. */
const MAX_TOKEN_ID_LIST = 4096;
const MAX_BAD_WORDS = 1024;
const MAX_BAD_WORDS_LENGTH = 16_384;
const MAX_LOGIT_BIASES = 16_384;
const MAX_CHOICES = 128;
/** Timers take no more than 2^31 milliseconds. */
const MAX_TIMEOUT_SECONDS = 2_000_000;

/** Choices, or candidates for them: 1 … 128. */
const choiceCount = (name: string) =>
  z
    .unknown()
    .transform((value, context): number => {
      const problem =
        integer({ max: MAX_CHOICES }).safeParse(value).error?.issues[0]?.message ??
        ((value as number) < 1 ? `${name} must be at least 1` : null);
      if (problem) context.addIssue({ code: 'custom', message: problem });
      return value as number;
    })
    .meta({ type: 'integer', minimum: 1, maximum: MAX_CHOICES });

export const candidateCount = choiceCount('best_of');

/** How many alternatives: -1 = the whole vocabulary. `--max-logprobs` is checked in logprob-request.ts. */
export const logprobCount = integer({ min: -1 });

/** One string is one sequence, never its characters. */
const stop = z
  .preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(text, 'Input should be a valid string or a valid list'))
  .transform((list) => list.filter((sequence) => sequence !== ''))
  .refine(
    (list) => list.length <= MAX_STOP_SEQUENCES,
    `The number of stop sequences exceeds the limit max_stop_seqs_num(${MAX_STOP_SEQUENCES}).`,
  )
  .refine(
    (list) => list.every((sequence) => sequence.length <= MAX_STOP_LENGTH),
    `A stop sequence exceeds the limit stop_seqs_max_len(${MAX_STOP_LENGTH}).`,
  );

const seed = integer({ min: 0 }).refine((value) => value <= Number(MAX_SEED), `Input should be less than or equal to ${MAX_SEED}`);

/** Each is encoded twice, with and without a space before it. */
const badWords = atMost(MAX_BAD_WORDS, textList).refine(
  (words) => words.reduce((sum, word) => sum + word.length, 0) <= MAX_BAD_WORDS_LENGTH,
  `Bad words should have at most ${MAX_BAD_WORDS_LENGTH} characters together`,
);

/** Keys are token ids as strings: `{"50256": -100}`. */
const logitBias = z
  .record(z.string(), number({ min: -100, max: 100 }), 'Input should be a valid dictionary')
  .transform((biases, context) =>
    Object.entries(biases).map(([key, bias]): readonly [number, number] => {
      const id = /^\d{1,10}$/.test(key) ? Number(key) : Number.NaN;
      const problem = Number.isNaN(id) ? 'Keys should be token ids' : tokenIdProblem(id);
      if (problem) context.addIssue({ code: 'custom', path: [key], message: problem });
      return [id, bias];
    }),
  )
  .refine((biases) => biases.length <= MAX_LOGIT_BIASES, `Dictionary should have at most ${MAX_LOGIT_BIASES} items`);

/** -1 = no limit. */
const thinkingBudget = integer({ min: -1 });

/** FastDeploy's logits processors that are also fields of their own; others would have to run in the engine. */
const logitsProcessorsArgs = z.strictObject(
  { logit_bias: logitBias.optional(), thinking_budget: thinkingBudget.optional() },
  {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? 'Only the logits processors `logit_bias` and `thinking_budget` are supported'
        : 'Input should be a valid dictionary',
  },
);

const streamFields = {
  stream: flag.default(false),
  stream_options: z
    .object({ include_usage: flag.nullish(), continuous_usage_stats: flag.nullish() }, 'Input should be a valid dictionary')
    .transform((options) => ({
      includeUsage: options.include_usage ?? true,
      continuousUsageStats: options.continuous_usage_stats ?? false,
    }))
    .optional(),
  max_streaming_response_tokens: integer().optional(),
  collect_metrics: flag.default(false),
};

const logprobFields = {
  prompt_logprobs: logprobCount.optional(),
  temp_scaled_logprobs: flag.default(false),
  top_p_normalized_logprobs: flag.default(false),
  include_logprobs_decode_token: flag.default(true),
  include_draft_logprobs: flag.default(false),
  return_tokens_as_token_ids: flag.default(false),
};

const thinkingFields = {
  reasoning_max_tokens: integer({ min: 0 }).optional(),
  response_max_tokens: integer({ min: 1 }).optional(),
  thinking_token_budget: thinkingBudget.optional(),
};

export const samplingFields = {
  model: text.optional(),
  ...streamFields,
  n: choiceCount('n').default(1),
  max_tokens: integer().optional(),
  min_tokens: integer({ min: 0 }).optional(),
  temperature: number({ min: 0 }).optional(),
  top_p: number({ min: 0, max: 1 }).optional(),
  top_k: integer({ min: -1 }).optional(),
  min_p: number({ min: 0, max: 1 }).optional(),
  presence_penalty: number({ min: -2, max: 2 }).optional(),
  frequency_penalty: number({ min: -2, max: 2 }).optional(),
  repetition_penalty: number({ above: 0 }).optional(),
  logit_bias: logitBias.optional(),
  logits_processors_args: logitsProcessorsArgs.optional(),
  seed: seed.optional(),
  stop: stop.default([]),
  stop_token_ids: atMost(MAX_TOKEN_ID_LIST, tokenIds).default([]),
  include_stop_str_in_output: flag.default(false),
  bad_words: badWords.default([]),
  bad_words_token_ids: atMost(MAX_TOKEN_ID_LIST, tokenIds).default([]),
  ignore_eos: flag.default(false),
  skip_special_tokens: flag.default(true),
  ...logprobFields,
  ...thinkingFields,
  ...constraintFields,
  user: text.optional(),
  request_id: text.max(256, 'String should have at most 256 characters').optional(),
  /** FastDeploy's older clients put parameters here: these three act, below the fields of the same name. */
  metadata: z
    .looseObject(
      { min_tokens: integer({ min: 0 }).nullish(), enable_thinking: flag.nullish(), max_streaming_response_tokens: integer().nullish() },
      'Input should be a valid dictionary',
    )
    .optional(),
  echo: flag.default(false),
  return_token_ids: flag.default(false),
  truncate_prompt_tokens: integer({ min: -1 })
    .refine((value) => value !== 0, 'Input should be -1 or at least 1')
    .optional(),
  timeout: number({ above: 0, max: MAX_TIMEOUT_SECONDS }).optional(),
  priority: integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER }).default(0),
  cache_salt: text.optional(),
};

export const streamOptionsNeedStream = {
  check: (body: { readonly stream: boolean; readonly stream_options?: unknown }) => body.stream || body.stream_options === undefined,
  problem: { message: 'Stream options can only be defined when `stream=True`.', path: ['stream_options'] },
};
