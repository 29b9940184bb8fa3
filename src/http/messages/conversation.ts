/** Anthropic's messages and their content blocks as chat messages. */
import type { ChatMessage } from '../../core/generation.ts';
import { FieldError } from '../error-reply.ts';
import { FIELD_REQUIRED } from '../schema-fields.ts';
import type { MessagesPrompt } from './schema.ts';

export interface PlacedMessage {
  readonly message: ChatMessage;
  /** Where it stands in the request. */
  readonly at: string;
}

type Block = Readonly<Record<string, unknown>>;

/**
 * One turn may become several messages: results of tools have messages of their own in a chat.
 * @throws FieldError naming the block that a text model cannot take.
 */
export function conversation({ system, messages }: Pick<MessagesPrompt, 'system' | 'messages'>): PlacedMessage[] {
  const placed: PlacedMessage[] = [];
  if (system !== undefined && system.length > 0)
    placed.push({ message: { role: 'system', content: textContent(system, 'system') }, at: 'system' });
  for (const [i, { role, content }] of messages.entries()) {
    const at = `messages[${i}]`;
    if (role === 'assistant') placed.push({ message: assistantMessage(content, `${at}.content`), at });
    else if (role === 'system') placed.push({ message: { role, content: textContent(content, `${at}.content`) }, at });
    else for (const message of userMessages(content, `${at}.content`)) placed.push({ message, at });
  }
  return placed;
}

/** Text as it came: one string, or parts when there are several, which the template puts together. */
function textContent(content: string | readonly Block[], at: string): unknown {
  if (typeof content === 'string') return content;
  const texts = content.map((block, i) => {
    if (block.type !== 'text') throw unsupported(block, `${at}[${i}]`);
    return stringField(block, 'text', `${at}[${i}]`);
  });
  return contentOf(texts);
}

function contentOf(texts: readonly string[]): unknown {
  return texts.length === 1 ? texts[0] : texts.map((text) => ({ type: 'text', text }));
}

function userMessages(content: string | readonly Block[], at: string): ChatMessage[] {
  if (typeof content === 'string') return [{ role: 'user', content }];
  const messages: ChatMessage[] = [];
  let texts: string[] = [];
  const endText = (): void => {
    if (texts.length > 0) messages.push({ role: 'user', content: contentOf(texts) });
    texts = [];
  };
  for (const [i, block] of content.entries()) {
    if (block.type === 'text') texts.push(stringField(block, 'text', `${at}[${i}]`));
    else if (block.type === 'tool_result') {
      endText();
      messages.push(toolMessage(block, `${at}[${i}]`));
    } else throw unsupported(block, `${at}[${i}]`);
  }
  endText();
  if (messages.length === 0)
    throw new FieldError('invalid_value', 'List should have at least 1 item after validation, not 0', { param: at });
  return messages;
}

function toolMessage(block: Block, at: string): ChatMessage {
  const { content = '' } = block;
  const isBlocks = Array.isArray(content) && content.every((item) => typeof item === 'object' && item !== null);
  if (typeof content !== 'string' && !isBlocks && content !== null) {
    throw new FieldError('invalid_value', 'Input should be a valid string or a list of content blocks', { param: `${at}.content` });
  }
  const isEmpty = content === null || content.length === 0;
  return {
    role: 'tool',
    tool_call_id: stringField(block, 'tool_use_id', at),
    content: isEmpty ? '' : textContent(content, `${at}.content`),
  };
}

function assistantMessage(content: string | readonly Block[], at: string): ChatMessage {
  if (typeof content === 'string') return { role: 'assistant', content };
  const texts: string[] = [];
  const calls: unknown[] = [];
  let reasoning = '';
  for (const [i, block] of content.entries()) {
    const here = `${at}[${i}]`;
    if (block.type === 'text') texts.push(stringField(block, 'text', here));
    else if (block.type === 'thinking') reasoning += stringField(block, 'thinking', here);
    else if (block.type === 'tool_use') calls.push(toolCall(block, here));
    // What the service encrypted for itself says nothing to this model.
    else if (block.type !== 'redacted_thinking') throw unsupported(block, here);
  }
  return {
    role: 'assistant',
    content: texts.length === 0 ? '' : contentOf(texts),
    ...(reasoning !== '' && { reasoning_content: reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}

function toolCall(block: Block, at: string) {
  const { input = {} } = block;
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new FieldError('invalid_value', 'Input should be a valid dictionary', { param: `${at}.input` });
  }
  const name = stringField(block, 'name', at);
  return { id: stringField(block, 'id', at), type: 'function', function: { name, arguments: JSON.stringify(input) } };
}

function stringField(block: Block, field: string, at: string): string {
  const value = block[field];
  if (typeof value === 'string') return value;
  const param = `${at}.${field}`;
  if (value === undefined) throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param });
  throw new FieldError('invalid_value', 'Input should be a valid string', { param });
}

function unsupported(block: Block, at: string): FieldError {
  const { type } = block;
  if (typeof type !== 'string') return new FieldError('missing_required_parameter', FIELD_REQUIRED, { param: `${at}.type` });
  return new FieldError('invalid_value', `Content blocks of type "${type}" are not supported here by this model.`, { param: at });
}
