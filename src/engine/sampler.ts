/**
 * Chooses the next token of a sequence from one row of logits: a pure function of (logits, params, history, draw).
 * Order: penalties, bias, bans and the grammar's mask (logit-edits.ts); temperature, min_p, top_k, top_p (candidates.ts); one draw.
 */
import type { SamplingParams } from '../core/sampling-params.ts';
import { Candidates } from './candidates.ts';
import { applyMask, editLogits, isUnedited } from './logit-edits.ts';
import type { Needs } from './step.ts';
import type { TokenHistory } from './token-history.ts';

/** The model gave logits that no token can be chosen from: NaN, +∞, or −∞ for the whole vocabulary. */
export class LogitsError extends Error {
  override readonly name = 'LogitsError';
}

/** Holds scratch memory for one vocabulary; nothing of one call is left for the next. */
export class Sampler {
  readonly #edited: Float64Array;
  readonly #candidates: Candidates;

  constructor(vocabSize: number) {
    this.#edited = new Float64Array(vocabSize);
    this.#candidates = new Candidates(vocabSize);
  }

  /**
   * @param logits [vocabSize], untouched.
   * @param draw in [0, 1); not used at temperature 0, where the lowest of the best ids wins.
   * @param mask the tokens that a grammar allows, at least one (see constraint.ts); null = all. It wins over bias and bans.
   * @throws LogitsError
   */
  sample(logits: Float32Array, params: SamplingParams, history: TokenHistory, draw: number, mask: Int32Array | null = null): number {
    const best = this.#edit(logits, params, history, mask);
    if (best === Number.NEGATIVE_INFINITY) return mask === null ? argmax(logits) : this.#bestAllowed(logits, mask);
    if (params.temperature === 0) return this.#edited.indexOf(best);
    this.#candidates.select(this.#edited, best, params);
    return this.#candidates.at(draw);
  }

  /**
   * The distribution that `sample` draws from: token id → probability, tokens of probability 0 left out.
   * @throws LogitsError
   */
  distribution(logits: Float32Array, params: SamplingParams, history: TokenHistory): Map<number, number> {
    const best = this.#edit(logits, params, history);
    if (best === Number.NEGATIVE_INFINITY) return new Map([[argmax(logits), 1]]);
    if (params.temperature === 0) return new Map([[this.#edited.indexOf(best), 1]]);
    this.#candidates.select(this.#edited, best, params);
    const probabilities = new Map<number, number>();
    this.#candidates.forEach((id, probability) => {
      probabilities.set(id, probability);
    });
    return probabilities;
  }

  /** Fills `#edited` and returns its largest value: −∞ when bias and bans leave no token, and then the best untouched logit is taken. */
  #edit(logits: Float32Array, params: SamplingParams, history: TokenHistory, mask: Int32Array | null = null): number {
    this.#edited.set(logits);
    editLogits(this.#edited, params, history);
    if (mask) applyMask(this.#edited, mask);
    return largest(this.#edited);
  }

  /** Bias and bans left nothing of what the grammar allows: the best of that by untouched logit. */
  #bestAllowed(logits: Float32Array, mask: Int32Array): number {
    this.#edited.set(logits);
    applyMask(this.#edited, mask);
    const best = largest(this.#edited);
    if (best === Number.NEGATIVE_INFINITY) throw new LogitsError('the logit of every token that the grammar allows is -Infinity');
    return this.#edited.indexOf(best);
  }
}

/** What the runner must return for the next token of a sequence. Plain greedy text needs no logits outside the graph. */
export function neededLogits(params: SamplingParams, numOutputTokens: number): Needs {
  if (params.pooling) return 'full'; // hidden states come beside logits
  return params.temperature === 0 && params.logprobs === null && isUnedited(params, numOutputTokens) ? 'argmax' : 'full';
}

/** The lowest id of the largest logit. */
function argmax(logits: Float32Array): number {
  const best = largest(logits);
  if (best === Number.NEGATIVE_INFINITY) throw new LogitsError('every logit is -Infinity');
  return logits.indexOf(best);
}

function largest(logits: Float32Array | Float64Array): number {
  let best = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (logit > best) best = logit;
    else if (Number.isNaN(logit)) throw new LogitsError(`the logit of token ${id} is NaN`);
  }
  if (best === Number.POSITIVE_INFINITY) throw new LogitsError('a logit is Infinity');
  return best;
}
