/** From a checked chat body to what the generator is asked for. */
import type { GenerateRequest, ModelCard, Prompt, ToolUse } from '../core/generation.ts';
import { constraintsOff } from './constraint-fields.ts';
import { FieldError } from './error-reply.ts';
import { checkedMaxTokens, commonRequest } from './generate-request.ts';
import { checkLogprobCounts } from './logprob-request.ts';
import { contentText } from './message-fields.ts';
import type { ChatBody } from './openai-schema.ts';
import { FIELD_REQUIRED } from './schema-fields.ts';
import type { Features } from './services.ts';
import { toolUseOf } from './tool-fields.ts';

/** @throws FieldError for what depends on the model, on several fields, or on how the server was started. */
export function chatRequest(body: ChatBody, requestId: string, model: ModelCard, features: Features): GenerateRequest {
  const logprobs = body.logprobs ? (body.top_logprobs ?? 0) : undefined;
  checkLogprobCounts({ top_logprobs: logprobs, prompt_logprobs: body.prompt_logprobs }, features);
  const maxTokens = checkedMaxTokens({ max_tokens: body.max_tokens, max_completion_tokens: body.max_completion_tokens }, model);
  return {
    ...commonRequest(body, { n: body.n, logprobs, promptLogprobs: body.prompt_logprobs, maxTokens }, features),
    requestId,
    prompt: chatPrompt(body),
    parseReasoning: true,
    tools: toolsOf(body, features),
    continuationIds: body.completion_token_ids,
  };
}

/** Calls that must be made are made by grammar. */
function toolsOf(body: ChatBody, { guidedDecoding }: Features): ToolUse | undefined {
  const use = toolUseOf(body);
  if (use && use.choice !== 'auto' && !guidedDecoding) throw constraintsOff('tool_choice');
  return use;
}

/** What the model is to read. @throws FieldError when the body has nothing for it. */
export function chatPrompt(body: ChatBody): Prompt {
  if (body.prompt_token_ids && body.prompt_token_ids.length > 0)
    return { type: 'tokens', param: 'prompt_token_ids', tokenIds: body.prompt_token_ids };
  const { messages } = body;
  if (!messages) throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param: 'messages' });
  if (messages.length === 0) throw new FieldError('invalid_value', 'messages must not be empty', { param: 'messages' });
  if (isTokenIds(messages)) return { type: 'tokens', param: 'messages', tokenIds: messages };
  if (body.disable_chat_template) {
    return { type: 'text', param: 'messages[0].content', text: contentText(messages[0]!), addSpecialTokens: false };
  }
  return {
    type: 'chat',
    param: 'messages',
    messages,
    tools: body.tools.length > 0 && body.tool_choice !== 'none' ? body.tools : undefined,
    addGenerationPrompt: body.add_generation_prompt ?? !body.continue_final_message,
    continueFinalMessage: body.continue_final_message,
    templateKwargs: templateVariables(body),
    chatTemplate: body.chat_template,
  };
}

function isTokenIds(messages: NonNullable<ChatBody['messages']>): messages is readonly number[] {
  return typeof messages[0] === 'number';
}

/** `chat_template_kwargs` has the last word. */
function templateVariables(body: ChatBody): Readonly<Record<string, unknown>> {
  const { documents, reasoning_effort } = body;
  const isThinking = body.enable_thinking ?? body.metadata?.enable_thinking ?? (reasoning_effort === 'none' ? false : undefined);
  return {
    ...(documents && { documents }),
    ...(reasoning_effort && { reasoning_effort }),
    ...(isThinking !== undefined && { enable_thinking: isThinking }),
    ...body.chat_template_kwargs,
  };
}

/** vLLM's `echo` of chat: the text of a last message that is the assistant's, which the reply goes on from; otherwise empty. */
export function echoedMessage({ echo, messages }: ChatBody): string {
  const last = messages?.at(-1);
  return echo && typeof last === 'object' && last.role === 'assistant' ? contentText(last) : '';
}
