/** POST /v1/responses: OpenAI's Responses API, as a dialect of chat completions. */
import type { FinishReason } from '../../core/generation.ts';
import { renameParam } from '../dialect-params.ts';
import { NotFoundError } from '../error-reply.ts';
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
import { type Item, inputItems, type PlacedItem } from './items.ts';
import { endState, outputItems, type ResponseHead, responseObject } from './response-object.ts';
import type { ResponseStore } from './response-store.ts';
import { ResponseStream } from './response-stream.ts';
import { checkResponses } from './schema.ts';

export function createResponse(services: Services, store: ResponseStore): Handler {
  return async (http, context) => {
    const given = readJsonObject(http.body, services.limits.maxBodyBytes);
    const body = checkResponses(given);
    const hex = newHexId();
    const input = inputItems(body.input, hex, (id) => findItem(store, id));
    const items = [...earlierItems(store, body.previous_response_id), ...input];
    const { fields, paramNames } = chatFields(body, items, given);
    const { run } = await startChat(services, fields, http, context, `resp_${hex}`).catch((error: unknown) => {
      throw renameParam(error, paramNames);
    });
    const head: ResponseHead = { id: run.id, created: run.created, model: run.model, body };
    const now = (): number => Math.floor(services.clock.now() / 1000);
    const onEnd = (response: ReturnType<typeof responseObject>): void => {
      if (body.store)
        store.put({ response: { ...response, output: response.output as readonly Item[] }, input: input.map(({ item }) => item) });
    };
    if (body.stream) return eventStreamReply(eventStream(run, new ResponseStream({ head, now, onEnd })));
    const response = await completeResponse(run, head, now);
    onEnd(response);
    return jsonReply(200, response);
  };
}

async function completeResponse(run: GenerationRun, head: ResponseHead, now: () => number) {
  const output = new OutputParts();
  let finishReason: FinishReason | null = null;
  for await (const batch of run.deltas()) {
    for (const delta of batch) {
      output.push(delta);
      finishReason = delta.finishReason ?? finishReason;
    }
  }
  output.startTextIfEmpty();
  const state = endState(finishReason, run.usage(), now());
  return responseObject(head, state, outputItems(head, output.parts, state));
}

/** All items of the conversation so far. @throws NotFoundError. */
function earlierItems(store: ResponseStore, previousId: string | undefined): PlacedItem[] {
  if (previousId === undefined) return [];
  const found = store.conversation(previousId);
  if ('missing' in found) {
    const whose = found.missing === previousId ? '' : ` (which '${previousId}' continues)`;
    throw new NotFoundError('previous_response_not_found', `Previous response with id '${found.missing}'${whose} not found. ${WHY}`, {
      param: 'previous_response_id',
    });
  }
  const items = found.responses.flatMap(({ input, response }) => [...input, ...response.output]);
  return items.map((item) => ({ item, at: 'previous_response_id' }));
}

/** Why a response may not be there, said where it is missed. */
export const WHY =
  'Responses are kept in the memory of the frontend process that answered them: not with "store": false, not after a restart or 24 hours without use, and not in the other processes of a server with several.';

/** Ids of items hold that of their response. */
function findItem(store: ResponseStore, id: string): Item | null {
  const hex = /^[a-z]+_([0-9a-f]{32})_/.exec(id)?.[1];
  const stored = hex === undefined ? null : store.get(`resp_${hex}`);
  return [...(stored?.input ?? []), ...(stored?.response.output ?? [])].find((item) => item.id === id) ?? null;
}
