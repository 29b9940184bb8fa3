/** The best of several candidates (`best_of`). */
import type { CollectedChoice } from './collected-choice.ts';

/**
 * Of each prompt's candidates those `n` whose tokens have the highest mean log-probability, best first; equal ones in their order.
 * @param candidates of all prompts, `numCandidates` each.
 */
export function bestOf(candidates: readonly CollectedChoice[], numCandidates: number, n: number): readonly CollectedChoice[] {
  if (numCandidates === n) return candidates;
  const best: CollectedChoice[] = [];
  for (let first = 0; first < candidates.length; first += numCandidates) {
    const ofPrompt = candidates.slice(first, first + numCandidates).map((choice) => ({ choice, mean: meanLogprob(choice) }));
    ofPrompt.sort((a, b) => b.mean - a.mean);
    for (const { choice } of ofPrompt.slice(0, n)) best.push(choice);
  }
  return best;
}

/** One that has no tokens is the worst. */
function meanLogprob({ logprobs }: CollectedChoice): number {
  if (!logprobs?.length) return Number.NEGATIVE_INFINITY;
  return logprobs.reduce((sum, { logprob }) => sum + Math.max(logprob, -Number.MAX_VALUE / logprobs.length), 0) / logprobs.length;
}
