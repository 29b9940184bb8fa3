/**
 * How long one choice may still think: a pure function of the limits and the output so far, kept up token by token.
 *
 *   unopened ── output begins with startIds ──▶ open ── endIds, or the limit and then forcedIds ──▶ closed
 *       └────────── it begins with others ─────────────────────────────────────────────────────────▶ closed
 *
 * Tokens count while it is open, and again when it is closed; markers and forced ids do not count for the answer.
 */
import type { ThinkingLimits } from '../core/sampling-params.ts';

export class Thinking {
  readonly #limits: ThinkingLimits;
  #state: 'unopened' | 'open' | 'closed';
  #numOutput = 0;
  #numThought = 0;
  #numAnswered = 0;
  /** Of the present marker's ids, how many the output ends with. */
  #numMatched = 0;
  /** Of `forcedIds`, how many are said; null = nothing is forced. */
  #numForced: number | null = null;

  constructor(limits: ThinkingLimits) {
    this.#limits = limits;
    this.#state = limits.isOpen ? 'open' : limits.startIds.length > 0 ? 'unopened' : 'closed';
    this.#forceAtLimit();
  }

  /** The id that must come next whatever the model says; null = it may choose. */
  get forced(): number | null {
    return this.#numForced === null ? null : this.#limits.forcedIds[this.#numForced]!;
  }

  /** Whether the answer has all the tokens that it may have. */
  get isAnswerComplete(): boolean {
    const { maxAnswerTokens } = this.#limits;
    return maxAnswerTokens !== null && this.#state === 'closed' && this.#numAnswered >= maxAnswerTokens;
  }

  /** Takes the next id of the output, chosen or forced. */
  accept(id: number): void {
    this.#numOutput++;
    if (this.#numForced !== null) {
      if (++this.#numForced === this.#limits.forcedIds.length) this.#close();
    } else if (this.#state === 'closed') this.#numAnswered++;
    else if (this.#state === 'unopened') this.#begin(id);
    else this.#think(id);
  }

  #begin(id: number): void {
    const { startIds } = this.#limits;
    if (id !== startIds[this.#numOutput - 1]) {
      this.#state = 'closed';
      this.#numAnswered = this.#numOutput;
    } else if (this.#numOutput === startIds.length) {
      this.#state = 'open';
      this.#forceAtLimit();
    }
  }

  #think(id: number): void {
    const { endIds } = this.#limits;
    this.#numThought++;
    this.#numMatched = lengthMatched(endIds, this.#numMatched, id);
    if (endIds.length > 0 && this.#numMatched === endIds.length) this.#close();
    else this.#forceAtLimit();
  }

  #forceAtLimit(): void {
    const { maxTokens, forcedIds } = this.#limits;
    if (this.#state !== 'open' || maxTokens === null || this.#numThought < maxTokens) return;
    if (forcedIds.length > 0) this.#numForced = 0;
    else this.#close();
  }

  #close(): void {
    this.#state = 'closed';
    this.#numForced = null;
  }
}

/** How many of the pattern's first ids a text ends with, when it ended with `numMatched` of them before `id` came. */
function lengthMatched(pattern: readonly number[], numMatched: number, id: number): number {
  for (let length = Math.min(numMatched + 1, pattern.length); length > 0; length--) {
    if (pattern[length - 1] !== id) continue;
    // The ids before it are those of the pattern's beginning, so the pattern is compared with itself.
    const shift = numMatched - (length - 1);
    if (pattern.slice(0, length - 1).every((other, i) => other === pattern[i + shift])) return length;
  }
  return 0;
}
