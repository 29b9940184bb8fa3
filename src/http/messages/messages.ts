/** POST /v1/messages: Anthropic's Messages API, as a dialect of chat completions. */
import { chatPrompt } from '../chat-request.ts';
import { renameParam } from '../dialect-params.ts';
import { eventStream } from '../event-stream.ts';
import type { GenerationRun } from '../generation-run.ts';
import { newHexId } from '../hex-id.ts';
import { eventStreamReply, jsonReply } from '../http-message.ts';
import { OutputParts } from '../output-parts.ts';
import { readJsonObject } from '../request-body.ts';
import type { Handler } from '../routes.ts';
import type { Services } from '../services.ts';
import { checkChat, startChat } from '../start-chat.ts';
import { chatFields, promptFields } from './chat-fields.ts';
import { type MessageEnd, messageObject } from './message-reply.ts';
import { MessageStream } from './message-stream.ts';
import { checkCountTokens, checkMessages } from './schema.ts';

export function messages(services: Services): Handler {
  return async (http, context) => {
    const given = readJsonObject(http.body, services.limits.maxBodyBytes);
    const body = checkMessages(given);
    const { fields, paramNames } = chatFields(body, given);
    const { run } = await startChat(services, fields, http, context, `msg_${newHexId()}`).catch((error: unknown) => {
      throw renameParam(error, paramNames);
    });
    if (body.stream) return eventStreamReply(eventStream(run, new MessageStream(run)));
    return jsonReply(200, await completeMessage(run));
  };
}

/** POST /v1/messages/count_tokens: the length of the prompt that these messages would become. */
export function countTokens(services: Services): Handler {
  const { generator, textTools, limits } = services;
  return async (http) => {
    const { fields, paramNames } = promptFields(checkCountTokens(readJsonObject(http.body, limits.maxBodyBytes)));
    try {
      const tokens = await textTools.tokenize(chatPrompt(checkChat(fields, generator.model)), http.signal);
      return jsonReply(200, { input_tokens: tokens.length });
    } catch (error) {
      throw renameParam(error, paramNames);
    }
  };
}

async function completeMessage(run: GenerationRun) {
  const output = new OutputParts();
  let end: MessageEnd = { finishReason: null, stopString: null };
  for await (const batch of run.deltas()) {
    for (const delta of batch) {
      output.push(delta);
      if (delta.finishReason !== null) end = { finishReason: delta.finishReason, stopString: delta.stopString ?? null };
    }
  }
  return messageObject(run, output.parts, end, run.usage());
}
