/** Tool calls as OpenAI writes them. */
import type { ToolCallDelta } from '../core/generation.ts';

/** In a message: the whole call. */
export function toolCallReply({ id = '', name = '', arguments: text }: ToolCallDelta) {
  return { id, type: 'function', function: { name, arguments: text } };
}

/** In a chunk: id, type and name come once, with the first piece of a call. */
export function toolCallChunk({ index, id, name, arguments: text }: ToolCallDelta) {
  if (id === undefined && name === undefined) return { index, function: { arguments: text } };
  return { index, id, type: 'function', function: { name, arguments: text } };
}

/** Pieces of the same call as one. */
export function joinCalls(pieces: readonly ToolCallDelta[]): readonly ToolCallDelta[] {
  const calls = new Map<number, ToolCallDelta>();
  for (const piece of pieces) {
    const known = calls.get(piece.index);
    calls.set(piece.index, known ? { ...known, ...piece, arguments: known.arguments + piece.arguments } : piece);
  }
  return [...calls.values()];
}
