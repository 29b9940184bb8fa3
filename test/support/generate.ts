/** Requests with every knob defaulted, and a reader that gathers what comes back. */
import assert from 'node:assert/strict';
import type { Frontend } from '../../src/actors/frontend.ts';
import type { FinishReason, GenerateRequest, TokenLogprob, Usage } from '../../src/core/generation.ts';

let numRequests = 0;

/** Twelve greedy tokens after the prompt [5, 6, 7, 8]. */
export function generateRequest(overrides: Partial<GenerateRequest> = {}): GenerateRequest {
  const { sampling, ...rest } = overrides;
  return {
    requestId: `cmpl-${numRequests++}`,
    prompt: { type: 'tokens', tokenIds: [5, 6, 7, 8] },
    n: 1,
    sampling: { temperature: 0, maxTokens: 12, ...sampling },
    stop: [],
    stopTokenIds: [],
    includeStopStrInOutput: false,
    ignoreEos: false,
    skipSpecialTokens: true,
    badWords: [],
    badWordsTokenIds: [],
    parseReasoning: false,
    wantTokenIds: true,
    priority: 0,
    ...rest,
  };
}

export interface ReadChoice {
  text: string;
  reasoning: string;
  ids: number[];
  logprobs: TokenLogprob[];
  finish: FinishReason | null;
}

export interface ReadResult {
  readonly choices: ReadChoice[];
  readonly usage: Usage;
  readonly numReads: number;
}

/** Sends the request and reads it to its end; asserts that each choice finishes once and says nothing after. */
export async function generate(
  frontend: Frontend,
  request: GenerateRequest,
  options: { readonly signal?: AbortSignal; readonly onRead?: (choices: readonly ReadChoice[]) => void } = {},
): Promise<ReadResult> {
  const generation = await frontend.generate(request, options.signal ?? new AbortController().signal);
  const choices: ReadChoice[] = Array.from({ length: request.n }, () => ({ text: '', reasoning: '', ids: [], logprobs: [], finish: null }));
  let numReads = 0;
  for await (const deltas of generation.deltas) {
    numReads++;
    for (const delta of deltas) {
      const choice = choices[delta.choice]!;
      assert.equal(choice.finish, null, `choice ${delta.choice} goes on after its end`);
      choice.text += delta.text;
      choice.reasoning += delta.reasoning;
      choice.ids.push(...delta.tokenIds);
      choice.logprobs.push(...(delta.logprobs ?? []));
      choice.finish = delta.finishReason;
    }
    options.onRead?.(choices);
  }
  for (const choice of choices) assert.notEqual(choice.finish, null, 'the deltas ended before every choice did');
  return { choices, usage: generation.usage(), numReads };
}
