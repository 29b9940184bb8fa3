/** POST /v1/messages: Anthropic's Messages API, as a dialect of chat completions. */
import { renameParam } from '../dialect-params.ts';
import { eventStream } from '../event-stream.ts';
import type { GenerationRun } from '../generation-run.ts';
import { newHexId } from '../hex-id.ts';
import { eventStreamReply, jsonReply } from '../http-message.ts';
import { OutputParts } from '../output-parts.ts';
import { readJsonObject } from '../request-body.ts';
import type { Handler } from '../routes.ts';
import type { Services } from '../services.ts';
import { startChat } from '../start-chat.ts';
import { chatFields } from './chat-fields.ts';
import { type MessageEnd, messageObject } from './message-reply.ts';
import { MessageStream } from './message-stream.ts';
import { checkMessages } from './schema.ts';

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
