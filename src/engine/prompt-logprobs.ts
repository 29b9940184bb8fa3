/**
 * Log-probabilities of a prompt's own tokens. All choices have the same prompt, so one of them tells; in parts, as its chunks are computed.
 * They go in few arrays: they cross two borders, and a long prompt has a million of them.
 */
import { assert } from '../core/errors.ts';
import type { LogprobReader } from './logprobs.ts';
import type { PromptLogprobEntry, PromptLogprobs } from './request.ts';
import type { Sequence } from './sequence.ts';
import type { SequenceResult } from './step.ts';

/** In one step: logits that are read (16 MB; about 10 ms), and values that a frame takes to the frontend (2 MB). */
const MAX_LOGITS_READ = 2 ** 21;
const MAX_VALUES_TOLD = 2 ** 18;

export class PromptLogprobReader {
  readonly #vocabSize: number;
  readonly #logprobs: LogprobReader;

  constructor(vocabSize: number, logprobs: LogprobReader) {
    this.#vocabSize = vocabSize;
    this.#logprobs = logprobs;
  }

  /** This choice of its request is the one that tells. Called before it is queued. */
  askOf(sequence: Sequence): void {
    const numTop = sequence.params.promptLogprobs!;
    const numValues = 1 + (numTop < 0 ? this.#vocabSize : numTop);
    sequence.numPromptLogprobs = 0;
    sequence.maxPromptRows = Math.max(1, Math.floor(Math.min(MAX_LOGITS_READ / this.#vocabSize, MAX_VALUES_TOLD / numValues)));
  }

  /**
   * The part that this step computed. Called before the step's tokens count as computed. The logits of position i are about prompt
   * token i + 1; those of the prompt's last one are about the first output.
   * @throws LogitsError
   */
  read(sequence: Sequence, result: SequenceResult): PromptLogprobs {
    assert(result.type === 'full', `${sequence.request.key} got no logits for its prompt`);
    const { logits } = result;
    const vocabSize = this.#vocabSize;
    const endComputed = sequence.numComputed + sequence.numScheduled;
    const first = endComputed - logits.length / vocabSize;
    const end = Math.min(endComputed, sequence.numPromptTokens - 1);
    const entries: PromptLogprobEntry[] = [];
    for (let position = first; position < end; position++) {
      const row = logits.subarray((position - first) * vocabSize, (position - first + 1) * vocabSize);
      entries.push(this.#logprobs.ofPrompt(row, sequence.tokenIds[position + 1]!, sequence.params));
    }
    sequence.numPromptLogprobs = end;
    return pack(first + 1, entries);
  }
}

/** @param entries of the prompt tokens from index `firstIndex` on, each with the same number of alternatives. */
function pack(firstIndex: number, entries: readonly PromptLogprobEntry[]): PromptLogprobs {
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
