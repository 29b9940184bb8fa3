/** The assistant's message, as Anthropic's clients know it. */
import { createHash } from 'node:crypto';
import type { FinishReason, Usage } from '../../core/generation.ts';
import type { OutputPart } from '../output-parts.ts';

/** What a message is about, before it says anything. */
export interface MessageHead {
  readonly id: string;
  readonly model: string;
}

export interface MessageEnd {
  readonly finishReason: FinishReason | null;
  readonly stopString: string | null;
}

/** A `Message`; `end` is null while it is being generated. */
export function messageObject({ id, model }: MessageHead, parts: readonly OutputPart[], end: MessageEnd | null, usage: Usage) {
  return {
    id,
    type: 'message',
    role: 'assistant',
    model,
    content: parts.map((part) => contentBlock(part)),
    ...(end ? stopFields(end, parts) : { stop_reason: null, stop_sequence: null }),
    stop_details: null,
    container: null,
    diagnostics: null,
    usage: { ...usageFields(usage), cache_creation: null, inference_geo: null, service_tier: 'standard', speed: null },
  };
}

export function stopFields({ finishReason, stopString }: MessageEnd, parts: readonly OutputPart[]) {
  const hasCalls = parts.some(({ type }) => type === 'tool_call');
  return { stop_reason: stopReason(finishReason, stopString, hasCalls), stop_sequence: stopString };
}

function stopReason(finishReason: FinishReason | null, stopString: string | null, hasCalls: boolean): string {
  if (finishReason === 'length') return 'max_tokens';
  if (stopString !== null) return 'stop_sequence';
  return finishReason === 'tool_calls' || (finishReason === 'stop' && hasCalls) ? 'tool_use' : 'end_turn';
}

/** Anthropic counts what came from its cache apart: the prompt is the sum of the two. */
export function usageFields({ promptTokens, completionTokens, cachedTokens, reasoningTokens }: Usage) {
  return {
    input_tokens: promptTokens - cachedTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cachedTokens,
    output_tokens: completionTokens,
    output_tokens_details: { thinking_tokens: reasoningTokens },
    server_tool_use: null,
  };
}

/** A finished block. */
function contentBlock(part: OutputPart) {
  switch (part.type) {
    case 'text':
      return { type: 'text', text: part.text, citations: null };
    case 'reasoning':
      return { type: 'thinking', thinking: part.text, signature: signatureOf(part.text) };
    case 'tool_call':
      return { type: 'tool_use', id: part.id, name: part.name, input: inputOf(part.text), caller: { type: 'direct' } };
    default:
      return part.type satisfies never;
  }
}

/** A block at its beginning. */
export function emptyBlock(part: OutputPart) {
  switch (part.type) {
    case 'text':
      return { type: 'text', text: '', citations: null };
    case 'reasoning':
      return { type: 'thinking', thinking: '', signature: '' };
    case 'tool_call':
      return { type: 'tool_use', id: part.id, name: part.name, input: {}, caller: { type: 'direct' } };
    default:
      return part.type satisfies never;
  }
}

/** Clients send thinking back only where it has a signature. This one is a checksum, no proof: any is taken back. */
export function signatureOf(thinking: string): string {
  return createHash('sha256').update(thinking).digest('base64');
}

/** Arguments that were cut off by `max_tokens` are no JSON: the input is empty then, as the stop reason tells. */
function inputOf(json: string): unknown {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
