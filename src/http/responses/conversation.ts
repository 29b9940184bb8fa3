/** Items of the Responses API as chat messages. */
import type { ChatMessage } from '../../core/generation.ts';
import { FieldError } from '../error-reply.ts';
import { FIELD_REQUIRED } from '../schema-fields.ts';
import type { Item, PlacedItem } from './items.ts';

export interface PlacedMessage {
  readonly message: ChatMessage;
  readonly at: string;
}

interface AssistantTurn {
  readonly at: string;
  reasoning: string;
  content: unknown;
  readonly calls: unknown[];
}

/**
 * Reasoning, text and calls that follow each other are one message of the assistant.
 * @throws FieldError naming the part that a text model cannot take.
 */
export function conversation(instructions: string | undefined, items: readonly PlacedItem[]): PlacedMessage[] {
  const placed: PlacedMessage[] = [];
  if (instructions !== undefined && instructions !== '')
    placed.push({ message: { role: 'system', content: instructions }, at: 'instructions' });
  let turn: AssistantTurn | null = null;
  const endTurn = (): void => {
    if (turn) placed.push({ message: assistantMessage(turn), at: turn.at });
    turn = null;
  };
  const turnAt = (at: string, mayContinue: (turn: AssistantTurn) => boolean): AssistantTurn => {
    if (turn && !mayContinue(turn)) endTurn();
    turn ??= { at, reasoning: '', content: null, calls: [] };
    return turn;
  };
  for (const { item, at } of items) {
    switch (item.type) {
      case 'reasoning':
        turnAt(at, (open) => open.content === null && open.calls.length === 0).reasoning += reasoningText(item, at);
        break;
      case 'function_call':
        turnAt(at, () => true).calls.push(toolCall(item, at));
        break;
      case 'function_call_output':
        endTurn();
        placed.push({ message: toolMessage(item, at), at });
        break;
      default: {
        const role = messageRole(item, at);
        const content = textContent(item.content, `${at}.content`);
        if (role === 'assistant') turnAt(at, (open) => open.content === null && open.calls.length === 0).content = content;
        else {
          endTurn();
          placed.push({ message: { role, content }, at });
        }
      }
    }
  }
  endTurn();
  return placed;
}

function assistantMessage({ reasoning, content, calls }: AssistantTurn): ChatMessage {
  return {
    role: 'assistant',
    content: content ?? '',
    ...(reasoning !== '' && { reasoning_content: reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}

/** Templates of open models know `system` only. */
function messageRole({ role }: Item, at: string): string {
  if (role === 'user' || role === 'assistant' || role === 'system') return role;
  if (role === 'developer') return 'system';
  throw new FieldError('invalid_value', "Input should be 'user', 'assistant', 'system' or 'developer'", { param: `${at}.role` });
}

function toolCall(item: Item, at: string) {
  const [id, name] = [stringField(item, 'call_id', at), stringField(item, 'name', at)];
  return { id, type: 'function', function: { name, arguments: stringField(item, 'arguments', at) } };
}

function toolMessage(item: Item, at: string): ChatMessage {
  return { role: 'tool', tool_call_id: stringField(item, 'call_id', at), content: textContent(item.output, `${at}.output`) };
}

/** The reasoning itself where it is there, else its summary. */
function reasoningText(item: Item, at: string): string {
  const field = Array.isArray(item.content) && item.content.length > 0 ? 'content' : 'summary';
  const parts = item[field] ?? [];
  if (!Array.isArray(parts)) throw new FieldError('invalid_value', 'Input should be a valid list', { param: `${at}.${field}` });
  return parts.map((part: unknown, i) => partText(part, `${at}.${field}[${i}]`)).join('');
}

/** One string, or parts when there are several, which the template puts together. */
function textContent(content: unknown, at: string): unknown {
  if (typeof content === 'string') return content;
  if (content === undefined) throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param: at });
  if (!Array.isArray(content)) throw new FieldError('invalid_value', 'Input should be a valid string or a list of parts', { param: at });
  const texts = content.map((part: unknown, i) => partText(part, `${at}[${i}]`));
  return texts.length === 1 ? texts[0] : texts.map((text) => ({ type: 'text', text }));
}

const TEXT_PARTS: ReadonlySet<unknown> = new Set(['input_text', 'output_text', 'text', 'reasoning_text', 'summary_text']);

function partText(part: unknown, at: string): string {
  if (typeof part !== 'object' || part === null) throw new FieldError('invalid_value', 'Input should be a valid dictionary', { param: at });
  const { type } = part as Item;
  if (TEXT_PARTS.has(type)) return stringField(part as Item, 'text', at);
  if (type === 'refusal') return stringField(part as Item, 'refusal', at);
  if (typeof type !== 'string') throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param: `${at}.type` });
  throw new FieldError('invalid_value', `Parts of type "${type}" are not supported by this model, only text is.`, { param: at });
}

function stringField(item: Item, field: string, at: string): string {
  const value = item[field];
  if (typeof value === 'string') return value;
  const param = `${at}.${field}`;
  if (value === undefined) throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param });
  throw new FieldError('invalid_value', 'Input should be a valid string', { param });
}
