/** What the runner is to compute for the sequences that the scheduler chose. */
import { neededLogits } from './sampler.ts';
import type { Sequence } from './sequence.ts';
import type { StepInput, StepSequence } from './step.ts';

const NO_DRAFT: readonly number[] = [];

/** @param scheduled each with `numScheduled` set: so many of its known tokens, from `numComputed` on, are computed. */
export function packSequences(scheduled: readonly Sequence[]): Pick<StepInput, 'tokenIds' | 'sequences' | 'wantsHidden'> {
  let numTokens = 0;
  for (const sequence of scheduled) numTokens += sequence.numScheduled;
  const tokenIds = new Int32Array(numTokens);
  const sequences: StepSequence[] = [];
  let start = 0;
  let wantsHidden = false;
  for (const sequence of scheduled) {
    const { numScheduled, numComputed } = sequence;
    for (let i = 0; i < numScheduled; i++) tokenIds[start + i] = sequence.tokenIds[numComputed + i]!;
    const numPromptRows = sequence.promptRowsOf(numScheduled);
    const nextNeeds = sequence.willCatchUp ? neededLogits(sequence.params, sequence.numOutputTokens) : 'none';
    const needs = numPromptRows > 0 ? 'full' : nextNeeds;
    const numLogits = Math.max(numPromptRows, needs === 'none' ? 0 : 1);
    sequences.push({ slot: sequence.slot!, start, numTokens: numScheduled, numComputed, draftTokens: NO_DRAFT, needs, numLogits });
    start += numScheduled;
    if (sequence.params.pooling && numLogits > 0) wantsHidden = true;
  }
  return wantsHidden ? { tokenIds, sequences, wantsHidden } : { tokenIds, sequences };
}
