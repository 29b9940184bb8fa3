/**
 * The tokens that may still be drawn, with their weights: temperature, min_p, top_k and top_p over edited logits. All arithmetic is
 * float64; no vocabulary is ever sorted whole.
 */
import type { SamplingParams } from '../core/sampling-params.ts';
import { selectLargest } from './select-largest.ts';

/** Nucleus search: buckets of 1/8 nat below the best token; everything further down shares the last one. */
const BUCKETS_PER_NAT = 8;
const NUM_BUCKETS = 256;

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
  select(logits: Float64Array, best: number, params: SamplingParams): void {
    this.#gather(logits, best, params.temperature, params.minP, topKThreshold(logits, params.topK));
    if (params.topP < 1) this.#keepNucleus(params.topP);
  }

  /** The token at `draw` in [0, 1) of the cumulative distribution over ascending ids. */
  at(draw: number): number {
    const target = draw * this.#total();
    let cumulative = 0;
    for (let i = 0; i < this.size; i++) {
      cumulative += this.weights[i]!;
      if (cumulative > target) return this.ids[i]!;
    }
    return this.ids[this.size - 1]!;
  }

  /** Calls back with every token that may be drawn and its probability. */
  forEach(visit: (tokenId: number, probability: number) => void): void {
    const total = this.#total();
    for (let i = 0; i < this.size; i++) visit(this.ids[i]!, this.weights[i]! / total);
  }

  /** Subtracting the best before dividing keeps any temperature > 0, however tiny or huge, free of overflow. */
  #gather(logits: Float64Array, best: number, temperature: number, minP: number, threshold: number): void {
    let size = 0;
    for (let id = 0; id < logits.length; id++) {
      const logit = logits[id]!;
      if (logit < threshold) continue;
      const distance = (logit - best) / temperature;
      const weight = Math.exp(distance);
      if (weight === 0 || weight < minP) continue;
      this.ids[size] = id;
      this.weights[size] = weight;
      this.#distances[size] = distance;
      size++;
    }
    this.size = size;
    if (size === 0) this.#keepOnlyBest(logits, best);
  }

  /** min_p > 1 would ban even the best token. */
  #keepOnlyBest(logits: Float64Array, best: number): void {
    this.ids[0] = logits.indexOf(best);
    this.weights[0] = 1;
    this.#distances[0] = 0;
    this.size = 1;
  }

  /**
   * Keeps the smallest set of best tokens whose probability is at least top_p (of equals, lower ids first). Buckets by distance tell
   * which tokens are surely in and surely out; only those of the bucket where top_p is crossed are sorted.
   */
  #keepNucleus(topP: number): void {
    const wanted = topP * this.#total();
    const mass = this.#bucketMass.fill(0);
    for (let i = 0; i < this.size; i++) mass[bucketOf(this.#distances[i]!)]! += this.weights[i]!;
    let crossing = 0;
    let massAhead = 0;
    while (crossing < NUM_BUCKETS - 1 && massAhead + mass[crossing]! < wanted) massAhead += mass[crossing++]!;

    const undecided: number[] = [];
    for (let i = 0; i < this.size; i++) {
      if (bucketOf(this.#distances[i]!) === crossing) undecided.push(i);
    }
    undecided.sort((a, b) => this.#distances[b]! - this.#distances[a]! || a - b);
    let numKept = 0;
    while (numKept < undecided.length && (massAhead < wanted || numKept === 0)) massAhead += this.weights[undecided[numKept++]!]!;
    for (let i = numKept; i < undecided.length; i++) this.weights[undecided[i]!] = 0;

    let size = 0;
    for (let i = 0; i < this.size; i++) {
      if (this.weights[i] === 0 || bucketOf(this.#distances[i]!) > crossing) continue;
      this.ids[size] = this.ids[i]!;
      this.weights[size] = this.weights[i]!;
      size++;
    }
    this.size = size;
  }

  #total(): number {
    let total = 0;
    for (let i = 0; i < this.size; i++) total += this.weights[i]!;
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
