/** The ports beside the generator, as far as tests of other endpoints need them: no tokenizer, no model, one pause. */
import type { AbortResult, EngineFacts, FrontendSnapshot, Operations, PauseMode, PauseState } from '../../src/core/operations.ts';
import type { Pooled, Pooler, PoolingRequest } from '../../src/core/pooling.ts';
import type { TextTools } from '../../src/core/text-tools.ts';

/** A character is a token, its code the id. */
export const characterTools: TextTools = {
  tokenize: async (prompt) => {
    if (prompt.type === 'tokens') return prompt.tokenIds;
    const text = prompt.type === 'text' ? prompt.text : JSON.stringify(prompt.messages);
    return Array.from(text, (character) => character.codePointAt(0)!);
  },
  detokenize: (ids) => String.fromCodePoint(...ids),
  tokenNames: (ids) => ids.map((id) => String.fromCodePoint(id)),
};

/** Notes what it is asked, and answers with the given states in turn. */
export class FakePooler implements Pooler {
  readonly requests: PoolingRequest[] = [];
  readonly #states: readonly (readonly number[])[];

  constructor(states: readonly (readonly number[])[] = [[3, 4, 0, 0]]) {
    this.#states = states;
  }

  async pool(request: PoolingRequest, signal: AbortSignal): Promise<Pooled> {
    signal.throwIfAborted();
    const state = this.#states[this.requests.length % this.#states.length]!;
    this.requests.push(request);
    return { hidden: Float32Array.from(state), numPromptTokens: 5, numCachedTokens: 2 };
  }
}

export class FakeOperations implements Operations {
  readonly aborts: (readonly string[] | 'all')[] = [];
  result: AbortResult = { aborted: [], notFound: [] };
  state: PauseState = { isPaused: false, mode: 'abort' };

  async abortRequests(ids: readonly string[] | 'all'): Promise<AbortResult> {
    this.aborts.push(ids);
    return this.result;
  }

  async pause(mode: PauseMode): Promise<void> {
    this.state = { isPaused: true, mode };
  }

  async resume(): Promise<void> {
    this.state = { ...this.state, isPaused: false };
  }

  pauseState(): PauseState {
    return this.state;
  }

  async peerMetrics(): Promise<FrontendSnapshot[]> {
    return [];
  }

  engines(): readonly EngineFacts[] {
    const blocks = { numBlocks: 8, numUsedBlocks: 2, numCachedBlocks: 3 };
    const load = { numRunning: 1, numWaiting: 0, maxNumSeqs: 4, queuedPrefillTokens: 0, ...blocks };
    return [{ id: 'engine-0', state: 'serving', fingerprint: 'abc', load }];
  }
}
