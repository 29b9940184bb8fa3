/** Log-probabilities of many prompt tokens in few arrays: they cross two borders, and a long prompt has a million of them. */
import type { PromptLogprobEntry, PromptLogprobs } from './request.ts';

/** @param entries of the prompt tokens from index `firstIndex` on, each with the same number of alternatives. */
export function packPromptLogprobs(firstIndex: number, entries: readonly PromptLogprobEntry[]): PromptLogprobs {
  const numTop = entries[0]?.topIds.length ?? 0;
  const topIds = new Uint32Array(entries.length * numTop);
  const topLogprobs = new Float32Array(entries.length * numTop);
  for (const [i, entry] of entries.entries()) {
    topIds.set(entry.topIds, i * numTop);
    topLogprobs.set(entry.topLogprobs, i * numTop);
  }
  return {
    firstIndex,
    ranks: Uint32Array.from(entries, (entry) => entry.rank),
    logprobs: Float32Array.from(entries, (entry) => entry.logprob),
    topIds,
    topLogprobs,
  };
}
