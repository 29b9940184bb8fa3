/** Constrained requests on their way to the rank: their grammar is compiled and their matchers are opened before it sees them. */
import type { AddResult } from '../engine/request.ts';
import type { AddRequest } from '../transport/messages.ts';
import { closeGrammar } from './grammar-constraints.ts';
import type { GrammarRequest } from './grammar-jobs.ts';
import { GrammarError } from './grammar-library.ts';
import type { GrammarHandle } from './grammar-memory.ts';

/** What is needed of grammar-host.ts. */
export interface GrammarOpener {
  open(request: GrammarRequest): Promise<GrammarHandle>;
}

export type Refusal = Extract<AddResult, { type: 'nack' }>;

const RETRY_MS = 1000;

export class GrammarAdmission {
  readonly #opener: GrammarOpener | null;
  /** By engine key; false once nobody waits for it any more. */
  readonly #isWanted = new Map<string, boolean>();

  constructor(opener: GrammarOpener | null) {
    this.#opener = opener;
  }

  /** The client of a request that is being compiled left. */
  drop(key: string): void {
    if (this.#isWanted.has(key)) this.#isWanted.set(key, false);
  }

  /** A grammar, or why there is none; null when it was dropped meanwhile. Never rejects. */
  async open(key: string, { params, choices }: AddRequest): Promise<{ readonly grammar: GrammarHandle } | Refusal | null> {
    this.#isWanted.set(key, true);
    try {
      if (!this.#opener) return refusal('invalid_grammar', 'This engine has no grammar runtime.');
      const grammar = await this.#opener.open({
        text: params.constraint!,
        choices: choices.filter((choice) => !choice.finished),
        maxTokens: params.maxTokens,
        // Tokens that come in runs have no logits of their own, and a limit on thinking may want others.
        runsAhead: params.logprobs === null && params.thinking === null,
      });
      if (this.#isWanted.get(key)) return { grammar };
      closeGrammar({ grammar });
      return null;
    } catch (error) {
      if (error instanceof GrammarError) return refusal('invalid_grammar', error.message);
      return refusal('queue_full', error instanceof Error ? error.message : String(error));
    } finally {
      this.#isWanted.delete(key);
    }
  }
}

const refusal = (code: Refusal['code'], message: string): Refusal => ({ type: 'nack', code, retryAfterMs: RETRY_MS, message });
