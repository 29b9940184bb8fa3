/**
 * What was said so far in one sequence, as the sampler needs it. Counts are kept up token by token: a penalty never rescans the text.
 */
import type { SamplingParams } from '../core/sampling-params.ts';

export class TokenHistory {
  /** The prompt, then the output. */
  readonly tokenIds: readonly number[];
  readonly numPromptTokens: number;
  /** Distinct prompt ids; empty unless the params have a repetition penalty. */
  readonly promptIds: ReadonlySet<number>;
  /** How often each id is in the output; empty unless the params have a penalty. */
  readonly outputCounts: ReadonlyMap<number, number>;

  readonly #tokenIds: number[];
  readonly #outputCounts = new Map<number, number>();
  readonly #hasPenalty: boolean;

  constructor(promptIds: readonly number[], outputIds: readonly number[], params: SamplingParams) {
    this.#tokenIds = promptIds.slice();
    this.tokenIds = this.#tokenIds;
    this.numPromptTokens = promptIds.length;
    this.#hasPenalty = params.repetitionPenalty !== 1 || params.presencePenalty !== 0 || params.frequencyPenalty !== 0;
    this.promptIds = new Set(params.repetitionPenalty !== 1 ? promptIds : []);
    this.outputCounts = this.#outputCounts;
    for (const id of outputIds) this.append(id);
  }

  get numOutputTokens(): number {
    return this.#tokenIds.length - this.numPromptTokens;
  }

  /** Adds one output token. */
  append(id: number): void {
    this.#tokenIds.push(id);
    if (this.#hasPenalty) this.#outputCounts.set(id, (this.#outputCounts.get(id) ?? 0) + 1);
  }
}
