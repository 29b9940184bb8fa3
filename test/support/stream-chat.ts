/** One streamed chat completion, read to its end: text, ids, log-probabilities. */
export interface StreamedChat {
  readonly text: string;
  readonly tokenIds: readonly number[];
  readonly promptTokenIds: readonly number[];
  readonly logprobs: readonly (StreamedLogprob & { readonly top_logprobs: readonly StreamedLogprob[] })[];
  readonly finishReason: string | null;
  /** Where the body asked for it (`stream_options`). */
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number } | null;
  readonly error: { readonly message: string; readonly code: string } | null;
}

interface StreamedLogprob {
  readonly token: string;
  readonly bytes: readonly number[];
  readonly logprob: number;
}

/** `onChunk` sees every chunk as it arrives: to act in the middle of a stream. */
export async function streamChat(url: string, body: Record<string, unknown>, onChunk: () => void = () => {}): Promise<StreamedChat> {
  const reply = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ stream: true, return_token_ids: true, ...body }),
  });
  if (reply.status !== 200) throw new Error(`HTTP ${reply.status}: ${await reply.text()}`);
  let text = '';
  const tokenIds: number[] = [];
  let promptTokenIds: number[] = [];
  const logprobs: StreamedChat['logprobs'][number][] = [];
  let finishReason: string | null = null;
  let error: StreamedChat['error'] = null;
  let usage: StreamedChat['usage'] = null;
  for await (const data of events(reply)) {
    if (data === '[DONE]') break;
    const chunk = JSON.parse(data);
    if (chunk.error) error = chunk.error;
    usage = chunk.usage ?? usage;
    const choice = chunk.choices?.[0];
    if (!choice) continue;
    promptTokenIds = choice.delta.prompt_token_ids ?? promptTokenIds;
    text += choice.delta.content ?? '';
    tokenIds.push(...(choice.delta.completion_token_ids ?? []));
    logprobs.push(...(choice.logprobs?.content ?? []));
    finishReason = choice.finish_reason ?? finishReason;
    onChunk();
  }
  return { text, tokenIds, promptTokenIds, logprobs, finishReason, usage, error };
}

async function* events(reply: Response): AsyncGenerator<string> {
  let buffer = '';
  const decoder = new TextDecoder();
  for await (const bytes of reply.body!) {
    buffer += decoder.decode(bytes as Uint8Array, { stream: true });
    for (let end = buffer.indexOf('\n\n'); end >= 0; end = buffer.indexOf('\n\n')) {
      const event = buffer.slice(0, end);
      buffer = buffer.slice(end + 2);
      if (event.startsWith('data: ')) yield event.slice(6).trim();
    }
  }
}
