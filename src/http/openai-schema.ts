/**
 * What a client may send, field by field: the only place with snake_case. Unknown fields are dropped, `null` is removed before this,
 * known fields that this server does not have are refused in unsupported-fields.ts.
 */
import { z } from 'zod';
import { messages, prompts } from './message-fields.ts';
import { candidateCount, logprobCount, samplingFields, streamOptionsNeedStream } from './sampling-fields.ts';
import { dictionary, flag, integer, text, tokenIds } from './schema-fields.ts';
import { toolFields } from './tool-fields.ts';

const REASONING_EFFORTS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const;

const templateFields = {
  chat_template: text.optional(),
  chat_template_kwargs: dictionary.default({}),
  disable_chat_template: flag.default(false),
  enable_thinking: flag.optional(),
  reasoning_effort: z.enum(REASONING_EFFORTS, `Input should be one of ${REASONING_EFFORTS.join(', ')}`).optional(),
  include_reasoning: flag.default(true),
  documents: z.array(dictionary, 'Input should be a valid list').optional(),
  add_generation_prompt: flag.optional(),
  continue_final_message: flag.default(false),
};

export const chatSchema = z
  .object({
    ...samplingFields,
    ...toolFields,
    ...templateFields,
    messages: messages.optional(),
    prompt_token_ids: tokenIds.optional(),
    completion_token_ids: tokenIds.optional(),
    max_completion_tokens: integer().optional(),
    logprobs: flag.default(false),
    top_logprobs: logprobCount.optional(),
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

export const completionSchema = z
  .object({
    ...samplingFields,
    prompt: prompts.optional(),
    prompt_token_ids: prompts.optional(),
    add_special_tokens: flag.default(true),
    best_of: candidateCount.optional(),
    logprobs: logprobCount.optional(),
  })
  .refine(streamOptionsNeedStream.check, streamOptionsNeedStream.problem)
  .refine((body) => (body.best_of ?? body.n) >= body.n, { message: '`best_of` must not be less than `n`.', path: ['best_of'] })
  .refine((body) => !body.stream || (body.best_of ?? body.n) === body.n, {
    message: '`best_of` greater than `n` cannot be streamed: which candidates are best is known at the end.',
    path: ['best_of'],
  });

export type ChatBody = z.output<typeof chatSchema>;
export type CompletionBody = z.output<typeof completionSchema>;
