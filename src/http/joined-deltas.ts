/** Fewer, longer deltas (`max_streaming_response_tokens`). */
import type { TextDelta } from '../core/generation.ts';

/**
 * The same deltas, joined per choice until they have `minTokens` tokens; the last of a choice may have fewer. What waits when the
 * source fails is given before the failure.
 */
export async function* joinedDeltas(source: AsyncIterable<readonly TextDelta[]>, minTokens: number): AsyncGenerator<readonly TextDelta[]> {
  const waiting = new Map<number, TextDelta>();
  try {
    for await (const batch of source) {
      const ready: TextDelta[] = [];
      for (const delta of batch) {
        const joined = join(waiting.get(delta.choice), delta);
        const isReady = joined.tokenIds.length >= minTokens || joined.finishReason !== null;
        if (isReady) ready.push(joined);
        if (isReady) waiting.delete(delta.choice);
        else waiting.set(delta.choice, joined);
      }
      if (ready.length > 0) yield ready;
    }
  } catch (error) {
    if (waiting.size > 0) yield [...waiting.values()];
    throw error;
  }
}

function join(waiting: TextDelta | undefined, next: TextDelta): TextDelta {
  if (!waiting) return next;
  const toolCalls = [...(waiting.toolCalls ?? []), ...(next.toolCalls ?? [])];
  return {
    ...next,
    text: waiting.text + next.text,
    reasoning: waiting.reasoning + next.reasoning,
    ...(toolCalls.length > 0 && { toolCalls }),
    ...(next.rawText !== undefined && { rawText: (waiting.rawText ?? '') + next.rawText }),
    tokenIds: [...waiting.tokenIds, ...next.tokenIds],
    logprobs: waiting.logprobs && next.logprobs ? [...waiting.logprobs, ...next.logprobs] : next.logprobs,
  };
}
