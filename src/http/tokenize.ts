/** POST /tokenize and /detokenize, in vLLM's shapes. They need no engine, so they answer while the model loads. */
import { z } from 'zod';
import type { Prompt } from '../core/generation.ts';
import { FieldError } from './error-reply.ts';
import { checkModelName } from './generate-request.ts';
import { jsonReply } from './http-message.ts';
import { plainChatFields, plainChatPrompt } from './plain-chat-prompt.ts';
import { checkBody, readJsonObject } from './request-body.ts';
import type { Handler } from './routes.ts';
import { FIELD_REQUIRED, flag, text, tokenIds } from './schema-fields.ts';
import type { Services } from './services.ts';

export const tokenizeSchema = z.object({
  ...plainChatFields,
  model: text.optional(),
  prompt: text.optional(),
  return_token_strs: flag.default(false),
});

export const detokenizeSchema = z.object({ model: text.optional(), tokens: tokenIds });

export function tokenize(services: Services): Handler {
  const { generator, textTools, limits } = services;
  return async (http) => {
    const body = checkBody(tokenizeSchema, readJsonObject(http.body, limits.maxBodyBytes));
    checkModelName(body.model, generator.model);
    const tokens = await textTools.tokenize(promptOf(body), http.signal);
    const { maxModelLen } = generator.model;
    const tokenStrings = body.return_token_strs ? textTools.tokenNames(tokens) : null;
    return jsonReply(200, { count: tokens.length, max_model_len: maxModelLen, tokens, token_strs: tokenStrings });
  };
}

export function detokenize(services: Services): Handler {
  const { generator, textTools, limits } = services;
  return (http) => {
    const fields = readJsonObject(http.body, limits.maxBodyBytes);
    if (fields.tokens === undefined) throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param: 'tokens' });
    const body = checkBody(detokenizeSchema, fields);
    checkModelName(body.model, generator.model);
    return jsonReply(200, { prompt: textTools.detokenize(body.tokens) });
  };
}

function promptOf(body: z.output<typeof tokenizeSchema>): Prompt {
  const chat = plainChatPrompt(body, { addGenerationPrompt: true });
  if (chat && body.prompt !== undefined) {
    throw new FieldError('invalid_value', 'Give either `prompt` or `messages`, not both.', { param: 'prompt' });
  }
  if (chat) return chat;
  if (body.prompt === undefined) throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param: 'prompt' });
  return { type: 'text', param: 'prompt', text: body.prompt, addSpecialTokens: body.add_special_tokens ?? true };
}
