/** Calls of earlier turns, as chat templates read them: OpenAI's `arguments` are JSON text, and most templates print an object. */
import type { ChatMessage } from '../../core/generation.ts';

/**
 * Renders with the arguments as objects; where the template refuses that, with the text that the client sent: DeepSeek's joins it to others.
 * @throws what `render` throws for objects, when it takes neither.
 */
export function renderCalls(messages: readonly ChatMessage[], render: (messages: readonly ChatMessage[]) => string): string {
  const readable = messages.map(withArgumentObjects);
  try {
    return render(readable);
  } catch (error) {
    if (readable.every((message, index) => message === messages[index])) throw error;
    try {
      return render(
        messages.map((message, index) => (message === readable[index] ? message : { ...message, content: message.content ?? '' })),
      );
    } catch {
      throw error;
    }
  }
}

/** The arguments of tool calls as objects where their text is one; everything else untouched. */
export function withArgumentObjects(message: ChatMessage): ChatMessage {
  const { tool_calls: calls } = message;
  if (!Array.isArray(calls)) return message;
  return { ...message, content: message.content ?? '', tool_calls: calls.map(withArgumentObject) };
}

function withArgumentObject(call: unknown): unknown {
  if (!isRecord(call) || !isRecord(call.function) || typeof call.function.arguments !== 'string') return call;
  const object = objectOf(call.function.arguments);
  return object === null ? call : { ...call, function: { ...call.function, arguments: object } };
}

/** Null for text that is no JSON object. No arguments at all are an empty object. */
function objectOf(text: string): object | null {
  if (text.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
