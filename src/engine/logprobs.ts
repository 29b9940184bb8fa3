/**
 * What is reported of a token's probability. By default the log-softmax of the untouched logits; the request may divide them by its
 * temperature or renormalise them within its top_p set, the server may report what was drawn from, or the logits themselves.
 */
import type { SamplingParams } from '../core/sampling-params.ts';
import { Candidates } from './candidates.ts';
import { applyMask, editLogits } from './logit-edits.ts';
import type { LogprobEntry, PromptLogprobEntry } from './request.ts';
import { LogitsError } from './sampler.ts';
import { selectLargest } from './select-largest.ts';
import type { TokenHistory } from './token-history.ts';

/** JSON has no −∞: what cannot be drawn at all is reported as vLLM and FastDeploy do. */
export const LOWEST_LOGPROB = -9999;

/** Nothing but this narrows the candidates of a renormalised set. */
const NO_FILTERS = { topK: 0, minP: 0 };

/** Holds scratch memory for one vocabulary; nothing of one call is left for the next. */
export class LogprobReader {
  readonly #values: Float64Array;
  readonly #candidates: Candidates;

  constructor(vocabSize: number) {
    this.#values = new Float64Array(vocabSize);
    this.#candidates = new Candidates(vocabSize);
  }

  /**
   * Of the token that was chosen, and of as many alternatives as the params ask for.
   * @param logits [vocabSize], untouched, with at least one number above −∞.
   * @param history before the token was appended.
   * @param mask the tokens that a grammar allowed; null = all.
   */
  ofChosen(logits: Float32Array, id: number, params: SamplingParams, history: TokenHistory, mask: Int32Array | null): LogprobEntry {
    this.#fill(logits, params, history, mask);
    const topIds = largestIds(this.#values, params.logprobs ?? 0);
    return { logprob: this.#at(id), topIds, topLogprobs: topIds.map((topId) => this.#at(topId)) };
  }

  /** Of a prompt token, at the position before it; always of the untouched logits. */
  ofPrompt(logits: Float32Array, id: number, params: SamplingParams): PromptLogprobEntry {
    this.#values.set(logits);
    if (params.logprobsMode.kind !== 'raw_logits' && params.logprobsMode.kind !== 'processed_logits') toLogSoftmax(this.#values);
    const topIds = largestIds(this.#values, params.promptLogprobs ?? 0);
    return { logprob: this.#at(id), rank: rankOf(this.#values, id), topIds, topLogprobs: topIds.map((topId) => this.#at(topId)) };
  }

  #at(id: number): number {
    return Math.max(this.#values[id]!, LOWEST_LOGPROB);
  }

  #fill(logits: Float32Array, params: SamplingParams, history: TokenHistory, mask: Int32Array | null): void {
    const values = this.#values;
    const { kind = 'raw_logprobs', tempScaled, topPNormalized } = params.logprobsMode;
    values.set(logits);
    switch (kind) {
      case 'raw_logits':
        return;
      case 'raw_logprobs':
        if (tempScaled) divide(values, params.temperature, largest(values));
        if (topPNormalized && params.topP < 1) this.#keep({ ...NO_FILTERS, temperature: 1, topP: params.topP });
        toLogSoftmax(values);
        return;
      case 'processed_logprobs':
      case 'processed_logits':
        this.#process(logits, params, history, mask);
        if (params.temperature > 0) divide(values, params.temperature, kind === 'processed_logprobs' ? largest(values) : 0);
        if (kind === 'processed_logprobs') toLogSoftmax(values);
        return;
      default:
        kind satisfies never;
    }
  }

  /** As the sampler sees them. Where bias and bans leave nothing, it takes the best of what the mask allows. */
  #process(logits: Float32Array, params: SamplingParams, history: TokenHistory, mask: Int32Array | null): void {
    const values = this.#values;
    editLogits(values, params, history);
    if (mask) applyMask(values, mask);
    if (largest(values) === Number.NEGATIVE_INFINITY) {
      values.set(logits);
      if (mask) applyMask(values, mask);
      return;
    }
    if (params.temperature > 0) this.#keep(params);
  }

  /** −∞ for every token that these filters leave out. */
  #keep(filters: Pick<SamplingParams, 'temperature' | 'topK' | 'topP' | 'minP'>): void {
    const values = this.#values;
    const candidates = this.#candidates;
    candidates.select(values, largest(values), filters);
    let next = 0;
    for (let id = 0; id < values.length; id++) {
      if (next < candidates.size && candidates.ids[next] === id) next++;
      else values[id] = Number.NEGATIVE_INFINITY;
    }
  }
}

/** In place. Greedy text has no temperature to divide by. With the best as `zero`, no temperature overflows. */
function divide(values: Float64Array, temperature: number, zero: number): void {
  if (temperature === 0 || temperature === 1) return;
  for (let id = 0; id < values.length; id++) values[id] = Math.min((values[id]! - zero) / temperature, Number.MAX_VALUE);
}

function toLogSoftmax(values: Float64Array): void {
  const best = largest(values);
  let total = 0;
  for (let id = 0; id < values.length; id++) total += Math.exp(values[id]! - best);
  const logTotal = Math.log(total);
  if (!Number.isFinite(logTotal)) throw new LogitsError('the logits are not numbers that have a softmax');
  for (let id = 0; id < values.length; id++) values[id] = values[id]! - best - logTotal;
}

/** −1 = the whole vocabulary. */
function largestIds(values: Float64Array, count: number): number[] {
  const numIds = count < 0 ? values.length : Math.min(count, values.length);
  return numIds === 0 ? [] : Array.from(selectLargest(values, numIds));
}

/** 1 = the best. */
function rankOf(values: Float64Array, id: number): number {
  const value = values[id]!;
  let rank = 1;
  for (let other = 0; other < values.length; other++) if (values[other]! > value) rank++;
  return rank;
}

function largest(values: Float64Array): number {
  let best = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < values.length; id++) if (values[id]! > best) best = values[id]!;
  return best;
}
