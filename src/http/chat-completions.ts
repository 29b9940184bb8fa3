/** POST /v1/chat/completions */

import { ChatStream } from './chat-stream.ts';
import { type CollectedChoice, collectChoices } from './collected-choice.ts';
import { logprobsDisabled } from './error-reply.ts';
import { chatRequest, checkModelName, generationId } from './generate-request.ts';
import { GenerationRun } from './generation-run.ts';
import { eventStreamReply, type HttpReply, jsonReply } from './http-message.ts';
import { chatLogprobs } from './logprobs.ts';
import { type ChatBody, chatSchema } from './openai-schema.ts';
import { checkBody, readJsonObject } from './request-body.ts';
import type { Handler } from './routes.ts';
import type { Services } from './services.ts';
import { sseStream } from './sse.ts';
import { refuseUnsupported } from './unsupported-fields.ts';
import { usageReply } from './usage.ts';

export function chatCompletions(services: Services): Handler {
  return async (http, context) => {
    const fields = readJsonObject(http.body, services.limits.maxBodyBytes);
    refuseUnsupported(fields, 'chat');
    const body = checkBody(chatSchema, fields);
    const { model } = services.generator;
    checkModelName(body.model, model);
    if (body.logprobs && !services.features.enableLogprob) throw logprobsDisabled();
    const id = generationId('chatcmpl', body);
    context.nameAfter(id);
    const requests = [chatRequest(body, id, model)];
    const run = await GenerationRun.start(services, { id, requests, stream: body.stream }, http, context);
    if (!body.stream) return await completeReply(run, body);
    return eventStreamReply(sseStream(run, new ChatStream(run, { usage: body.stream_options, returnTokenIds: body.return_token_ids })));
  };
}

async function completeReply(run: GenerationRun, body: ChatBody): Promise<HttpReply> {
  const choices = await collectChoices(run);
  return jsonReply(200, {
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
  });
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
