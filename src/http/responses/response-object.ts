/** The `Response` object: what was asked for, and what came of it. */
import type { FinishReason, Usage } from '../../core/generation.ts';
import { chatLogprobs } from '../logprobs.ts';
import type { OutputPart } from '../output-parts.ts';
import { wantsLogprobs } from './chat-fields.ts';
import type { ResponsesBody } from './schema.ts';

export interface ResponseHead {
  /** `resp_` and 32 hexadecimal digits, which its items' ids share. */
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
  readonly body: ResponsesBody;
}

export type ItemStatus = 'in_progress' | 'completed' | 'incomplete';

export type ResponseState =
  | { readonly status: 'in_progress' }
  | { readonly status: 'completed'; readonly usage: Usage; readonly completedAt: number }
  | { readonly status: 'incomplete'; readonly usage: Usage; readonly reason: string }
  | { readonly status: 'failed'; readonly usage: Usage; readonly message: string };

/** Every field that OpenAI's reply has. @param output finished or growing items. */
export function responseObject({ id, created, model, body }: ResponseHead, state: ResponseState, output: readonly unknown[]) {
  return {
    id,
    object: 'response',
    created_at: created,
    completed_at: state.status === 'completed' ? state.completedAt : null,
    status: state.status,
    background: false,
    error: state.status === 'failed' ? { code: 'server_error', message: state.message } : null,
    incomplete_details: state.status === 'incomplete' ? { reason: state.reason } : null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    max_tool_calls: body.max_tool_calls ?? null,
    metadata: body.metadata,
    model,
    output,
    parallel_tool_calls: body.parallel_tool_calls,
    previous_response_id: body.previous_response_id ?? null,
    prompt_cache_key: body.prompt_cache_key ?? null,
    reasoning: { effort: body.reasoning?.effort ?? null, summary: body.reasoning?.summary ?? null },
    safety_identifier: body.safety_identifier ?? null,
    service_tier: 'default',
    store: body.store,
    temperature: body.temperature ?? null,
    text: { format: body.text?.format ?? { type: 'text' }, verbosity: body.text?.verbosity ?? 'medium' },
    tool_choice: body.tool_choice,
    tools: body.tools.map((tool) => ({ ...tool, parameters: tool.parameters ?? null, strict: tool.strict ?? false })),
    top_logprobs: body.top_logprobs ?? 0,
    top_p: body.top_p ?? null,
    truncation: body.truncation,
    usage: 'usage' in state ? usageFields(state.usage) : null,
    user: body.user ?? null,
  };
}

/** How a generation that ended with this reason is called. */
export function endState(finishReason: FinishReason | null, usage: Usage, completedAt: number): ResponseState {
  if (finishReason === 'stop' || finishReason === 'tool_calls') return { status: 'completed', usage, completedAt };
  return { status: 'incomplete', usage, reason: finishReason === 'length' ? 'max_output_tokens' : (finishReason ?? 'abort') };
}

function usageFields({ promptTokens, completionTokens, cachedTokens, reasoningTokens }: Usage) {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: promptTokens + completionTokens,
  };
}

const PREFIXES = { text: 'msg', reasoning: 'rs', tool_call: 'fc' } as const;

export function itemId({ id }: Pick<ResponseHead, 'id'>, { type, index }: OutputPart): string {
  return `${PREFIXES[type]}_${id.slice('resp_'.length)}_${index}`;
}

/** An item with what it holds so far; `in_progress` = at its beginning, when it holds nothing. */
export function outputItem(head: ResponseHead, part: OutputPart, status: ItemStatus) {
  const id = itemId(head, part);
  const content = status === 'in_progress' ? [] : [contentPart(head, part)];
  switch (part.type) {
    case 'text':
      return { id, type: 'message', status, role: 'assistant', content };
    case 'reasoning':
      return { id, type: 'reasoning', status, summary: [], content, encrypted_content: null };
    case 'tool_call':
      return { id, type: 'function_call', status, call_id: part.id, name: part.name, arguments: status === 'in_progress' ? '' : part.text };
    default:
      return part.type satisfies never;
  }
}

/** The one part of a message or of reasoning; `isEmpty` = at its beginning. */
export function contentPart({ body }: ResponseHead, { type, text, logprobs }: OutputPart, isEmpty = false) {
  if (type === 'reasoning') return { type: 'reasoning_text', text: isEmpty ? '' : text };
  const entries = isEmpty || !wantsLogprobs(body) ? [] : chatLogprobs(logprobs).content;
  return { type: 'output_text', text: isEmpty ? '' : text, annotations: [], logprobs: entries };
}

/** All items, the last of which may have been cut off. */
export function outputItems(head: ResponseHead, parts: readonly OutputPart[], { status }: ResponseState) {
  return parts.map((part, i) => outputItem(head, part, i === parts.length - 1 && status !== 'completed' ? 'incomplete' : 'completed'));
}
