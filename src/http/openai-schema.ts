/**
 * What a client may send, field by field: the only place with snake_case. Unknown fields are dropped, `null` is removed before this,
 * fields that wait for their implementation are refused in unsupported-fields.ts.
 */
import { z } from 'zod';
import type { ChatMessage } from '../core/generation.ts';
import { atMost, dictionary, FIELD_REQUIRED, flag, integer, number, text, textList, tokenIdProblem, tokenIds } from './schema-fields.ts';

export const MAX_TOP_LOGPROBS = 20;
const MAX_STOP_SEQUENCES = 16;
const MAX_STOP_LENGTH = 1024;
/** FastDeploy's bound. As a JSON number it loses its last digits, so it is spelled here for the message. */
const MAX_SEED = '922337203685477580';
/** Lists that are walked for every request, or every token, on threads that serve everyone. */
const MAX_MESSAGES = 16_384;
const MAX_TOKEN_ID_LIST = 4096;
const MAX_BAD_WORDS = 1024;
const MAX_BAD_WORDS_LENGTH = 16_384;
const MAX_LOGIT_BIASES = 16_384;
const MAX_CHOICES = 128;

const choiceCount = z.unknown().transform((value, context): number => {
  const problem =
    integer({ max: MAX_CHOICES }).safeParse(value).error?.issues[0]?.message ?? ((value as number) < 1 ? 'n must be at least 1' : null);
  if (problem) context.addIssue({ code: 'custom', message: problem });
  return value as number;
});

const logprobCount = z.unknown().transform((value, context): number => {
  const problem = integer({ min: 0 }).safeParse(value).error?.issues[0]?.message;
  if (problem) context.addIssue({ code: 'custom', message: problem });
  else if ((value as number) > MAX_TOP_LOGPROBS) {
    const message = `Number of logprobs requested (${value}) exceeds maximum allowed value (${MAX_TOP_LOGPROBS}).`;
    context.addIssue({ code: 'custom', message });
  }
  return value as number;
});

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

const shared = {
  model: text.optional(),
  stream: flag.default(false),
  stream_options: z
    .object({ include_usage: flag.nullish(), continuous_usage_stats: flag.nullish() }, 'Input should be a valid dictionary')
    .transform((options) => ({
      includeUsage: options.include_usage ?? true,
      continuousUsageStats: options.continuous_usage_stats ?? false,
    }))
    .optional(),
  n: choiceCount.default(1),
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
  seed: seed.optional(),
  stop: stop.default([]),
  stop_token_ids: atMost(MAX_TOKEN_ID_LIST, tokenIds).default([]),
  include_stop_str_in_output: flag.default(false),
  bad_words: badWords.default([]),
  bad_words_token_ids: atMost(MAX_TOKEN_ID_LIST, tokenIds).default([]),
  ignore_eos: flag.default(false),
  skip_special_tokens: flag.default(true),
  user: text.optional(),
  request_id: text.max(256, 'String should have at most 256 characters').optional(),
  metadata: dictionary.optional(),
  return_token_ids: flag.default(false),
  priority: integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER }).default(0),
  cache_salt: text.optional(),
};

const streamOptionsNeedStream = {
  check: (body: { readonly stream: boolean; readonly stream_options?: unknown }) => body.stream || body.stream_options === undefined,
  problem: { message: 'Stream options can only be defined when `stream=True`.', path: ['stream_options'] },
};

const textPart = z.looseObject({ type: z.literal('text', 'Only parts of type "text" are supported by this model'), text });
const message = z.looseObject(
  {
    role: text.min(1, 'String should have at least 1 character'),
    content: z
      .unknown()
      .superRefine((content, context) => {
        if (content === null || typeof content === 'string') return;
        const parts = Array.isArray(content) ? z.array(textPart).safeParse(content) : null;
        if (!parts) context.addIssue({ code: 'custom', message: 'Input should be a valid string or a list of parts' });
        for (const issue of parts?.error?.issues ?? []) context.addIssue({ code: 'custom', message: issue.message, path: issue.path });
      })
      .optional(),
  },
  'Input should be a valid dictionary',
);

/** A list of messages, or the prompt's token ids. */
const messages = z.array(z.unknown(), 'Input should be a valid list').transform((list, context) => {
  const isTokenIds = list.length > 0 && list.every((item) => typeof item === 'number');
  const parsed = isTokenIds ? tokenIds.safeParse(list) : atMost(MAX_MESSAGES, z.array(message)).safeParse(list);
  for (const issue of parsed.error?.issues ?? []) {
    context.addIssue({ code: 'custom', message: isMissingField(list, issue) ? FIELD_REQUIRED : issue.message, path: issue.path });
  }
  // As they came: templates may look at any field, and at whether it is there.
  return list as readonly number[] | readonly ChatMessage[];
});

function isMissingField(list: readonly unknown[], issue: { readonly path: readonly PropertyKey[] }): boolean {
  const [index, field] = issue.path;
  const item = list[index as number];
  return issue.path.length === 2 && typeof item === 'object' && item !== null && !Object.hasOwn(item, field as string);
}

export const chatSchema = z
  .object({
    ...shared,
    messages: messages.optional(),
    prompt_token_ids: tokenIds.optional(),
    max_completion_tokens: integer().optional(),
    logprobs: flag.default(false),
    top_logprobs: logprobCount.optional(),
    enable_thinking: flag.optional(),
    chat_template_kwargs: dictionary.default({}),
    add_generation_prompt: flag.optional(),
    continue_final_message: flag.default(false),
  })
  .refine(streamOptionsNeedStream.check, streamOptionsNeedStream.problem)
  .refine((body) => body.logprobs || !body.top_logprobs, {
    message: 'when using `top_logprobs`, `logprobs` must be set to true.',
    path: ['top_logprobs'],
  })
  .refine((body) => !(body.continue_final_message && body.add_generation_prompt), {
    message: 'Cannot set both `continue_final_message` and `add_generation_prompt` to True.',
    path: ['continue_final_message'],
  });

export interface PromptField {
  readonly value: string | readonly number[];
  /** Where it stands in the field: empty, or `[1]` in a list of prompts. */
  readonly at: string;
}

/** `"a"`, `["a", "b"]`, `[1, 2]` or `[[1, 2], [3]]`, as a list of prompts. */
const prompts = z.unknown().transform((value, context): readonly PromptField[] => {
  const listed = (list: readonly PromptField['value'][]) => list.map((prompt, i) => ({ value: prompt, at: `[${i}]` }));
  const refuse = (problem: string, path: PropertyKey[] = []): readonly PromptField[] => {
    context.addIssue({ code: 'custom', message: problem, path });
    return [];
  };
  if (typeof value === 'string') return [{ value, at: '' }];
  if (!Array.isArray(value)) return refuse('Input should be a valid string or a valid list');
  if (value.length === 0) return refuse('List should have at least 1 item after validation, not 0');
  if (value.every((item) => typeof item === 'string')) return listed(value);
  const lists = value.every((item) => Array.isArray(item)) ? value : [value];
  for (const [i, list] of lists.entries()) {
    const isMixed = list.length > 0 && list.some((item: unknown) => typeof item !== 'number');
    if (isMixed) return refuse('If prompt is a list, each item type must be one of: str, list[int]');
    const issue = tokenIds.safeParse(list).error?.issues[0];
    if (issue) return refuse(issue.message, lists === value ? [i, ...issue.path] : [...issue.path]);
    if (list.length === 0) return refuse('List should have at least 1 item after validation, not 0', [i]);
  }
  return lists === value ? listed(value) : [{ value, at: '' }];
});

export const completionSchema = z
  .object({
    ...shared,
    prompt: prompts.optional(),
    prompt_token_ids: prompts.optional(),
    logprobs: logprobCount.optional(),
  })
  .refine(streamOptionsNeedStream.check, streamOptionsNeedStream.problem);

export type ChatBody = z.output<typeof chatSchema>;
export type CompletionBody = z.output<typeof completionSchema>;
