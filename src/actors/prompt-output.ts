/** The log-probabilities of a request's prompt, gathered from frames before its first token. */
import type { PromptTokenLogprob, TopLogprob } from '../core/generation.ts';
import type { WirePromptLogprobs } from '../transport/messages.ts';
import type { TokenNames } from './choice-output.ts';

export class PromptOutput {
  readonly #promptIds: readonly number[];
  readonly #tokens: TokenNames;
  readonly #parts: WirePromptLogprobs[] = [];
  /** Prompt tokens that are told; the first has nothing before it that it could follow from. */
  #numKnown = 1;
  /** All of them, made once: every choice tells them. */
  #entries: readonly (PromptTokenLogprob | null)[] | null = null;

  constructor(promptIds: readonly number[], tokens: TokenNames) {
    this.#promptIds = promptIds;
    this.#tokens = tokens;
  }

  get isComplete(): boolean {
    return this.#numKnown >= this.#promptIds.length;
  }

  /** Parts come in order; after an engine's death the next one begins anew, and says the same again. */
  take(part: WirePromptLogprobs): void {
    const [firstIndex, ranks] = part;
    if (firstIndex > this.#numKnown || firstIndex + ranks.length <= this.#numKnown) return;
    this.#parts.push(part);
    this.#numKnown = firstIndex + ranks.length;
  }

  /** One per prompt token that is known. */
  entries(): readonly (PromptTokenLogprob | null)[] {
    if (this.#entries) return this.#entries;
    const entries: (PromptTokenLogprob | null)[] = [null];
    for (const [firstIndex, ranks, logprobs, topIds, topLogprobs] of this.#parts) {
      const numTop = topIds.length / ranks.length;
      for (let i = entries.length - firstIndex; i < ranks.length; i++) {
        const top = Array.from(topIds.subarray(i * numTop, (i + 1) * numTop), (id, place) => ({
          ...this.#named(id, topLogprobs[i * numTop + place]!),
          rank: place + 1,
        }));
        entries.push({ ...this.#named(this.#promptIds[firstIndex + i]!, logprobs[i]!), rank: ranks[i]!, top });
      }
    }
    if (this.isComplete) this.#entries = entries;
    return entries;
  }

  #named(tokenId: number, logprob: number): TopLogprob {
    return { tokenId, token: this.#tokens.tokenText(tokenId), bytes: Array.from(this.#tokens.tokenBytes(tokenId)), logprob };
  }
}
