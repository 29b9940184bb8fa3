/** The prompts' log-probabilities of a whole batch, which are one reply: the frontend checks each prompt, and knows no others. */
import type { GenerateRequest, Generation, ModelCard } from '../core/generation.ts';
import { MAX_PROMPT_LOGPROBS, numPromptLogprobs } from '../core/sampling-params.ts';
import { FieldError } from './error-reply.ts';

/** @throws FieldError when all prompts' together are more than a reply holds. */
export function checkPromptLogprobs(
  requests: readonly GenerateRequest[],
  generations: readonly Generation[],
  { vocabSize }: ModelCard,
): void {
  const count = requests[0]?.sampling.promptLogprobs ?? null;
  if (count === null || requests.length < 2) return;
  const numValues = generations.reduce((sum, { promptTokenIds }, i) => {
    return sum + numPromptLogprobs(count, { numPromptTokens: promptTokenIds.length, numChoices: requests[i]!.n, vocabSize });
  }, 0);
  if (numValues <= MAX_PROMPT_LOGPROBS) return;
  const message = `prompt_logprobs of ${requests.length} prompts are ${numValues} values together, more than ${MAX_PROMPT_LOGPROBS}: ask for fewer alternatives, or send fewer prompts at once.`;
  throw new FieldError('invalid_value', message, { param: 'prompt_logprobs' });
}
