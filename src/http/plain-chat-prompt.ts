/** Messages as a prompt, for endpoints that take them without generating from them. */

import { z } from 'zod';
import type { Prompt } from '../core/generation.ts';
import { FieldError } from './error-reply.ts';
import { messages } from './message-fields.ts';
import { dictionary, flag, text } from './schema-fields.ts';

export const plainChatFields = {
  messages: messages.optional(),
  tools: z.array(dictionary, 'Input should be a valid list').optional(),
  chat_template: text.optional(),
  chat_template_kwargs: dictionary.default({}),
  add_generation_prompt: flag.optional(),
  continue_final_message: flag.default(false),
  add_special_tokens: flag.optional(),
};

type PlainChatBody = z.output<z.ZodObject<typeof plainChatFields>>;

/**
 * @param addGenerationPrompt unless the body says otherwise, or continues the final message.
 * @returns null when the body has no messages.
 * @throws FieldError
 */
export function plainChatPrompt(body: PlainChatBody, { addGenerationPrompt }: { readonly addGenerationPrompt: boolean }): Prompt | null {
  const { messages: list } = body;
  if (!list) return null;
  if (list.length === 0) throw new FieldError('invalid_value', 'messages must not be empty', { param: 'messages' });
  if (body.continue_final_message && body.add_generation_prompt) {
    const message = 'Cannot set both `continue_final_message` and `add_generation_prompt` to True.';
    throw new FieldError('invalid_value', message, { param: 'continue_final_message' });
  }
  if (isTokenIds(list)) return { type: 'tokens', param: 'messages', tokenIds: list };
  return {
    type: 'chat',
    param: 'messages',
    messages: list,
    tools: body.tools,
    addGenerationPrompt: body.add_generation_prompt ?? (addGenerationPrompt && !body.continue_final_message),
    continueFinalMessage: body.continue_final_message,
    templateKwargs: body.chat_template_kwargs,
    chatTemplate: body.chat_template,
    addSpecialTokens: body.add_special_tokens ?? false,
  };
}

function isTokenIds(list: NonNullable<PlainChatBody['messages']>): list is readonly number[] {
  return typeof list[0] === 'number';
}
