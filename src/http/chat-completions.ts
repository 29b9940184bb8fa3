/** POST /v1/chat/completions */
import { ChatStream } from './chat-stream.ts';
import { type CollectedChoice, collectChoices } from './collected-choice.ts';
import type { GenerationRun } from './generation-run.ts';
import { eventStreamReply, jsonReply } from './http-message.ts';
import { chatLogprobs } from './logprobs.ts';
import type { ChatBody } from './openai-schema.ts';
import { readJsonObject } from './request-body.ts';
import type { Handler } from './routes.ts';
import type { Services } from './services.ts';
import { sseStream } from './sse.ts';
import { startChat } from './start-chat.ts';
import { usageReply } from './usage.ts';

export function chatCompletions(services: Services): Handler {
  return async (http, context) => {
    const fields = readJsonObject(http.body, services.limits.maxBodyBytes);
    const { run, body } = await startChat(services, fields, http, context);
    return body.stream ? eventStreamReply(sseStream(run, new ChatStream(run, body))) : jsonReply(200, await chatReply(run, body));
  };
}

async function chatReply(run: GenerationRun, body: ChatBody) {
  const choices = await collectChoices(run);
  return {
    id: run.id,
    object: 'chat.completion',
    created: run.created,
    model: run.model,
    choices: choices.map((choice) => ({
      index: choice.index,
      message: message(run, choice, body.return_token_ids),
      logprobs: body.logprobs ? chatLogprobs(choice.logprobs ?? []) : null,
      finish_reason: choice.finishReason,
    })),
    usage: usageReply(run.usage()),
  };
}

function message(run: GenerationRun, { index, text, reasoning, tokenIds }: CollectedChoice, returnTokenIds: boolean) {
  return {
    role: 'assistant',
    content: text,
    refusal: null,
    reasoning_content: reasoning === '' ? null : reasoning,
    prompt_token_ids: returnTokenIds ? run.promptTokenIds(index) : null,
    completion_token_ids: returnTokenIds ? tokenIds : null,
  };
}
