/**
 * The tokens that may still be drawn, with their weights: temperature, min_p, top_k and top_p over edited logits. All arithmetic is
 * float64; no vocabulary is ever sorted whole.
 */
import type { SamplingParams } from '../core/sampling-params.ts';
import { selectLargest } from './select-largest.ts';

/** Nucleus search: buckets of 1/8 nat below the best token; everything further down shares the last one. */
const BUCKETS_PER_NAT = 8;
const NUM_BUCKETS = 256;

export type CandidateFilters = Pick<SamplingParams, 'temperature' | 'topK' | 'topP' | 'minP'>;

export class Candidates {
  /** Tokens that may be drawn; `ids` and `weights` hold that many entries, by ascending id. */
  size = 0;
  readonly ids: Int32Array;
  /** exp((logit − best) / temperature): not normalised, the best is 1. */
  readonly weights: Float64Array;

  readonly #distances: Float64Array;
  readonly #bucketMass = new Float64Array(NUM_BUCKETS);

  constructor(vocabSize: number) {
    this.ids = new Int32Array(vocabSize);
    this.weights = new Float64Array(vocabSize);
    this.#distances = new Float64Array(vocabSize);
  }

  /**
   * Fills the candidates. At least one remains.
   * @param logits edited, at least one above −∞, none above `best`.
   * @param best the largest of them.
   */
  select(logits: Float64Array, best: number, params: CandidateFilters): void {
    const total = this.#gather(logits, best, params);
    if (params.topP < 1) this.#keepNucleus(params.topP * total);
  }

  /** The token at `draw` in [0, 1) of the cumulative distribution over ascending ids. */
  at(draw: number): number {
    const { ids, weights, size } = this;
    const target = draw * this.#total();
    let cumulative = 0;
    for (let i = 0; i < size; i++) {
      cumulative += weights[i]!;
      if (cumulative > target) return ids[i]!;
    }
    return ids[size - 1]!;
  }

  /** Calls back with every token that may be drawn and its probability. */
  forEach(visit: (tokenId: number, probability: number) => void): void {
    const total = this.#total();
    for (let i = 0; i < this.size; i++) visit(this.ids[i]!, this.weights[i]! / total);
  }

  /**
   * Temperature, min_p and top_k. Subtracting the best before dividing keeps any temperature > 0, however tiny or huge, free of overflow.
   * @returns the sum of all weights. With top_p, weights that cannot be in the nucleus are only counted there: all weights below
   * (1 − top_p) / vocabSize make up less than the 1 − top_p that the nucleus leaves out, since the best alone is 1.
   */
  #gather(logits: Float64Array, best: number, params: CandidateFilters): number {
    const { ids, weights } = this;
    const distances = this.#distances;
    const { temperature, minP } = params;
    const minLogit = topKThreshold(logits, params.topK);
    const minKept = params.topP < 1 ? (1 - params.topP) / logits.length : 0;
    let size = 0;
    let total = 0;
    for (let id = 0; id < logits.length; id++) {
      const logit = logits[id]!;
      if (logit < minLogit) continue;
      const distance = (logit - best) / temperature;
      const weight = Math.exp(distance);
      if (weight === 0 || weight < minP) continue;
      total += weight;
      if (weight < minKept) continue;
      ids[size] = id;
      weights[size] = weight;
      distances[size] = distance;
      size++;
    }
    this.size = size;
    if (size === 0) this.#keepOnlyBest(logits, best);
    return total;
  }

  /** min_p > 1 would ban even the best token. */
  #keepOnlyBest(logits: Float64Array, best: number): void {
    this.ids[0] = logits.indexOf(best);
    this.weights[0] = 1;
    this.#distances[0] = 0;
    this.size = 1;
  }

  /**
   * Keeps the smallest set of best tokens that weighs at least `wanted` (of equals, lower ids first). Buckets by distance tell which
   * tokens are surely in and surely out; only those of the bucket where `wanted` is crossed are sorted.
   */
  #keepNucleus(wanted: number): void {
    const { ids, weights, size } = this;
    const distances = this.#distances;
    const mass = this.#bucketMass.fill(0);
    for (let i = 0; i < size; i++) mass[bucketOf(distances[i]!)]! += weights[i]!;
    let crossing = 0;
    let massAhead = 0;
    while (crossing < NUM_BUCKETS - 1 && massAhead + mass[crossing]! < wanted) massAhead += mass[crossing++]!;

    const undecided: number[] = [];
    for (let i = 0; i < size; i++) {
      if (bucketOf(distances[i]!) === crossing) undecided.push(i);
    }
    undecided.sort((a, b) => distances[b]! - distances[a]! || a - b);
    let numIn = 0;
    while (numIn < undecided.length && (massAhead < wanted || numIn === 0)) massAhead += weights[undecided[numIn++]!]!;
    for (let i = numIn; i < undecided.length; i++) weights[undecided[i]!] = 0;

    let numKept = 0;
    for (let i = 0; i < size; i++) {
      if (weights[i] === 0 || bucketOf(distances[i]!) > crossing) continue;
      ids[numKept] = ids[i]!;
      weights[numKept] = weights[i]!;
      numKept++;
    }
    this.size = numKept;
  }

  #total(): number {
    const { weights, size } = this;
    let total = 0;
    for (let i = 0; i < size; i++) total += weights[i]!;
    return total;
  }
}

function bucketOf(distance: number): number {
  const bucket = Math.floor(-distance * BUCKETS_PER_NAT);
  return bucket < NUM_BUCKETS ? bucket : NUM_BUCKETS - 1;
}

/** The k-th largest logit, below which tokens are dropped; its equals all stay. −∞ when top_k is off. */
function topKThreshold(logits: Float64Array, topK: number): number {
  if (topK <= 0 || topK >= logits.length) return Number.NEGATIVE_INFINITY;
  return logits[selectLargest(logits, topK)[topK - 1]!]!;
}
