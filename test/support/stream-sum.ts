/** Chunks, or a whole reply, as the sum that a client has at the end: what both forms must agree in. */

// biome-ignore lint/suspicious/noExplicitAny: replies of several shapes
type Json = any;

export interface StreamSum {
  readonly choices: readonly Json[];
  readonly usage: Json;
}

/** Of chat (`delta` or `message`) and of text completion; chunks are added up in their order. */
export function addUp(chunks: readonly Json[]): StreamSum {
  const choices: Json[] = [];
  let usage: Json = null;
  for (const chunk of chunks) {
    if (chunk.error) throw new Error(`The stream failed: ${JSON.stringify(chunk.error)}`);
    usage = chunk.usage ?? usage;
    for (const choice of chunk.choices) {
      choices[choice.index] ??= {
        text: '',
        reasoning: '',
        calls: [],
        promptText: '',
        rawText: '',
        ids: [],
        promptIds: [],
        logprobs: [],
        promptLogprobs: null,
        finish: null,
      };
      add(choices[choice.index], choice);
    }
  }
  return { choices, usage };
}

function add(sum: Json, choice: Json): void {
  const told = choice.message ?? choice.delta ?? choice;
  sum.text += told.content ?? told.text ?? '';
  sum.reasoning += told.reasoning_content ?? '';
  sum.promptText += told.prompt_tokens ?? '';
  sum.rawText += told.completion_tokens ?? '';
  sum.ids.push(...(told.completion_token_ids ?? []));
  sum.promptIds.push(...(told.prompt_token_ids ?? []));
  sum.promptLogprobs ??= choice.prompt_logprobs ?? null;
  sum.finish ??= choice.finish_reason;
  sum.logprobs.push(...entriesOf(choice.logprobs));
  for (const [i, call] of (told.tool_calls ?? []).entries()) {
    // Ids are made anew for every request.
    const index = call.index ?? i;
    sum.calls[index] ??= { name: '', arguments: '' };
    const known = sum.calls[index];
    known.name += call.function.name ?? '';
    known.arguments += call.function.arguments;
  }
}

/** One entry per token, of either form. */
function entriesOf(logprobs: Json): Json[] {
  if (!logprobs) return [];
  if (logprobs.content) return logprobs.content;
  return logprobs.tokens.map((token: string, i: number) => [
    token,
    logprobs.token_logprobs[i],
    logprobs.top_logprobs[i],
    logprobs.text_offset[i],
  ]);
}
