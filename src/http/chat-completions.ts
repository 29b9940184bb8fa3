/** POST /v1/chat/completions */
import { echoedMessage } from './chat-request.ts';
import { ChatStream } from './chat-stream.ts';
import { type CollectedChoice, collectChoices } from './collected-choice.ts';
import { tokensPerEvent } from './generate-request.ts';
import type { GenerationRun } from './generation-run.ts';
import { eventStreamReply, jsonReply } from './http-message.ts';
import { chatLogprobs, promptLogprobsReply, tokenNamesOf } from './logprobs.ts';
import type { ChatBody } from './openai-schema.ts';
import { readJsonObject } from './request-body.ts';
import type { Handler } from './routes.ts';
import type { Services } from './services.ts';
import { sseStream } from './sse.ts';
import { startChat } from './start-chat.ts';
import { toolCallReply } from './tool-calls.ts';
import { usageReply } from './usage.ts';

export function chatCompletions(services: Services): Handler {
  return async (http, context) => {
    const fields = readJsonObject(http.body, services.limits.maxBodyBytes);
    const { run, body } = await startChat(services, fields, http, context);
    if (!body.stream) return jsonReply(200, await chatReply(run, body));
    return eventStreamReply(sseStream(run, new ChatStream(run, body), tokensPerEvent(body)));
  };
}

async function chatReply(run: GenerationRun, body: ChatBody) {
  const choices = await collectChoices(run);
  const names = tokenNamesOf(body);
  return {
    id: run.id,
    object: 'chat.completion',
    created: run.created,
    model: run.model,
    choices: choices.map((choice) => ({
      index: choice.index,
      message: message(run, choice, body),
      logprobs: body.logprobs ? chatLogprobs(choice.logprobs ?? [], names) : null,
      prompt_logprobs:
        body.prompt_logprobs === undefined
          ? null
          : promptLogprobsReply(run.generationOf(choice.index).promptLogprobs(), body.prompt_logprobs, names),
      draft_logprobs: null,
      finish_reason: choice.finishReason,
    })),
    usage: usageReply(run.usage()),
  };
}

/** With nothing but tool calls the content is null, as OpenAI's. Without any there is no `tool_calls`, which its clients expect, too. */
function message(run: GenerationRun, choice: CollectedChoice, body: ChatBody) {
  const { index, reasoning, toolCalls } = choice;
  const text = echoedMessage(body) + choice.text;
  const prompt = run.generationOf(index);
  return {
    role: 'assistant',
    content: text === '' && toolCalls.length > 0 ? null : text,
    refusal: null,
    reasoning_content: reasoning === '' ? null : reasoning,
    ...(toolCalls.length > 0 && { tool_calls: toolCalls.map(toolCallReply) }),
    prompt_token_ids: body.return_token_ids ? prompt.promptTokenIds : null,
    completion_token_ids: body.return_token_ids ? choice.tokenIds : null,
    prompt_tokens: body.return_token_ids ? prompt.promptText() : null,
    completion_tokens: body.return_token_ids ? choice.rawText : null,
  };
}
