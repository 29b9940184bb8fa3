/** How many log-probabilities a request may have: `--enable-logprob` and `--max-logprobs`. */
import { FieldError, logprobsDisabled } from './error-reply.ts';
import type { Features } from './services.ts';

/**
 * @param counts alternatives asked for, by field: -1 = the whole vocabulary, undefined = none.
 * @throws FieldError with FastDeploy's words.
 */
export function checkLogprobCounts(counts: Readonly<Record<string, number | undefined>>, { enableLogprob, maxLogprobs }: Features): void {
  for (const [param, count] of Object.entries(counts)) {
    if (count === undefined) continue;
    if (!enableLogprob) throw logprobsDisabled(param === 'top_logprobs' ? 'logprobs' : param);
    const isTooMany = maxLogprobs !== -1 && (count > maxLogprobs || count === -1);
    if (!isTooMany) continue;
    const what = param === 'prompt_logprobs' ? 'prompt_logprobs' : 'logprobs';
    const message = `Number of ${what} requested (${count}) exceeds maximum allowed value (${maxLogprobs}).`;
    throw new FieldError('invalid_value', message, { param });
  }
}
