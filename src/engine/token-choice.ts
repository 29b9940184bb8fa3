/** How a sequence's next token comes about: the limit of its thinking says it, the graph took the best, or the sampler draws it. */
import type { LogprobReader } from './logprobs.ts';
import { uniform } from './random.ts';
import type { LogprobEntry } from './request.ts';
import { LogitsError, Sampler } from './sampler.ts';
import type { Sequence } from './sequence.ts';
import type { SequenceResult } from './step.ts';

export interface ChosenToken {
  readonly id: number;
  /** One entry, or null when not asked for. */
  readonly logprobs: readonly LogprobEntry[] | null;
}

export class TokenChooser {
  readonly #vocabSize: number;
  readonly #sampler: Sampler;
  readonly #logprobs: LogprobReader;

  constructor(vocabSize: number, logprobs: LogprobReader) {
    this.#vocabSize = vocabSize;
    this.#sampler = new Sampler(vocabSize);
    this.#logprobs = logprobs;
  }

  /** Called when all known tokens are computed, before the new one is appended; a grammar's mask is ready. @throws LogitsError */
  choose(sequence: Sequence, result: SequenceResult): ChosenToken {
    const id = sequence.thinking?.forced ?? this.#bestOrDrawn(sequence, result);
    return { id, logprobs: this.#logprobsOf(sequence, result, id) };
  }

  #bestOrDrawn(sequence: Sequence, result: SequenceResult): number {
    switch (result.type) {
      case 'argmax': {
        const id = result.tokenIds[0];
        if (id === undefined || id < 0 || id >= this.#vocabSize) throw new LogitsError(`the model's argmax is ${id}`);
        return id;
      }
      case 'full': {
        const { params, history, request, choice } = sequence;
        const draw = params.temperature === 0 ? 0 : uniform(request.seed, choice, sequence.numTokens);
        return this.#sampler.sample(this.#lastRow(result.logits), params, history, draw, sequence.constraint?.mask ?? null);
      }
      default:
        throw new Error(`Invariant broken: ${sequence.request.key} got '${result.type}', which nobody asked for`);
    }
  }

  #logprobsOf(sequence: Sequence, result: SequenceResult, id: number): LogprobEntry[] | null {
    const { params, history, constraint } = sequence;
    if (params.logprobs === null || result.type !== 'full') return null;
    return [this.#logprobs.ofChosen(this.#lastRow(result.logits), id, params, history, constraint?.mask ?? null)];
  }

  /** Rows before the last are about the prompt. */
  #lastRow(logits: Float32Array): Float32Array {
    return logits.length === this.#vocabSize ? logits : logits.subarray(logits.length - this.#vocabSize);
  }
}
