/** From a checked text completion body to what the generator is asked for. */
import type { GenerateRequest, ModelCard, Prompt } from '../core/generation.ts';
import { FieldError } from './error-reply.ts';
import { checkedMaxTokens, commonRequest } from './generate-request.ts';
import { checkLogprobCounts } from './logprob-request.ts';
import type { PromptField } from './message-fields.ts';
import type { CompletionBody } from './openai-schema.ts';
import { FIELD_REQUIRED } from './schema-fields.ts';
import type { Features } from './services.ts';

/** Choices of one request over all its prompts. */
const MAX_CHOICES_OF_A_BATCH = 1024;

/** `echo` with `max_tokens: 0`: the prompt and its log-probabilities, nothing generated. An engine computes one token all the same. */
export const scoresPromptOnly = (body: CompletionBody): boolean => body.echo && body.max_tokens === 0;

/**
 * One request per prompt, in order; choice i of prompt p is choice `p × n + i` of the reply.
 * @throws FieldError for what depends on the model, on several fields, or on how the server was started.
 */
export function completionRequests(body: CompletionBody, requestId: string, model: ModelCard, features: Features): GenerateRequest[] {
  const { field, prompts } = promptsOf(body);
  const numCandidates = body.best_of ?? body.n;
  if (prompts.length * numCandidates > MAX_CHOICES_OF_A_BATCH) {
    const count = body.best_of === undefined ? `n = ${body.n}` : `best_of = ${body.best_of}`;
    const message = `${prompts.length} prompts with ${count} are more than ${MAX_CHOICES_OF_A_BATCH} choices: send them in several requests.`;
    throw new FieldError('invalid_value', message, { param: field });
  }
  checkLogprobCounts({ logprobs: body.logprobs, prompt_logprobs: body.prompt_logprobs }, features);
  const maxTokens = scoresPromptOnly(body) ? 1 : checkedMaxTokens({ max_tokens: body.max_tokens }, model);
  const common = commonRequest(
    body,
    { n: numCandidates, logprobs: generatedLogprobs(body), promptLogprobs: promptLogprobs(body), maxTokens },
    features,
  );
  return prompts.map((prompt, i) => ({
    ...common,
    requestId: prompts.length > 1 ? `${requestId}_${i}` : requestId,
    ...(prompts.length > 1 && { batchId: requestId }),
    prompt: toPrompt(prompt, field, body),
    parseReasoning: false,
  }));
}

function promptsOf(body: CompletionBody): { readonly field: string; readonly prompts: readonly PromptField[] } {
  if (body.prompt_token_ids?.some(({ value }) => typeof value === 'string')) {
    throw new FieldError('invalid_value', 'Input should be a valid list of token ids', { param: 'prompt_token_ids' });
  }
  if (body.prompt_token_ids) return { field: 'prompt_token_ids', prompts: body.prompt_token_ids };
  if (body.prompt) return { field: 'prompt', prompts: body.prompt };
  throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param: 'prompt' });
}

function toPrompt({ value, at }: PromptField, field: string, body: CompletionBody): Prompt {
  const param = field + at;
  if (typeof value !== 'string') return { param, type: 'tokens', tokenIds: value };
  return { param, type: 'text', text: value, addSpecialTokens: body.add_special_tokens };
}

/** The best candidates are found by their tokens' log-probabilities. */
function generatedLogprobs(body: CompletionBody): number | undefined {
  return (body.best_of ?? body.n) > body.n ? (body.logprobs ?? 0) : body.logprobs;
}

/** An echoed prompt is told as the output is. */
function promptLogprobs({ echo, logprobs, prompt_logprobs }: CompletionBody): number | undefined {
  const counts = [prompt_logprobs, echo ? logprobs : undefined].filter((count) => count !== undefined);
  if (counts.length === 0) return undefined;
  return counts.includes(-1) ? -1 : Math.max(...counts);
}
