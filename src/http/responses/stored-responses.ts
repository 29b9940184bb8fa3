/** GET and DELETE /v1/responses/ID, GET …/input_items, POST …/cancel. */
import { FieldError, MethodNotAllowedError, NotFoundError } from '../error-reply.ts';
import { type HttpReply, type HttpRequest, jsonReply } from '../http-message.ts';
import type { Routes } from '../routes.ts';
import type { Services } from '../services.ts';
import { createResponse, WHY } from './create-response.ts';
import { ResponseStore, type StoredResponse } from './response-store.ts';

export const RESPONSES_PATH = '/v1/responses';

/** All routes of the Responses API, around one store. */
export function responseRoutes(services: Services): Routes {
  const store = new ResponseStore({ clock: services.clock });
  const answer = (request: HttpRequest): HttpReply => storedResponse(store, request);
  return {
    [RESPONSES_PATH]: { POST: createResponse(services, store) },
    [`${RESPONSES_PATH}/*`]: { GET: answer, DELETE: answer, POST: answer },
  };
}

function storedResponse(store: ResponseStore, { method, path }: HttpRequest): HttpReply {
  const [id = '', sub, ...rest] = path.slice(RESPONSES_PATH.length + 1).split('/');
  const what = rest.length > 0 ? 'unknown' : (sub ?? '');
  const read = method === 'HEAD' ? 'GET' : method;
  switch (`${read} ${what}`) {
    case 'GET ':
      return jsonReply(200, found(store, id).response);
    case 'GET input_items':
      return jsonReply(200, inputItemList(found(store, id)));
    case 'DELETE ':
      found(store, id);
      store.delete(id);
      return jsonReply(200, { id, object: 'response', deleted: true });
    case 'POST cancel':
      found(store, id);
      throw new FieldError('invalid_value', `The response '${id}' is complete: only a background response could be cancelled.`);
    default:
      if (what === '') throw new MethodNotAllowedError(method, path, ['GET', 'DELETE']);
      if (what === 'input_items') throw new MethodNotAllowedError(method, path, ['GET']);
      if (what === 'cancel') throw new MethodNotAllowedError(method, path, ['POST']);
      throw new NotFoundError('not_found', `Unknown path: ${method} ${path}.`);
  }
}

/** Newest first, all of them on one page. */
function inputItemList({ input }: StoredResponse) {
  const data = [...input].reverse();
  return { object: 'list', data, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more: false };
}

function found(store: ResponseStore, id: string): StoredResponse {
  const stored = store.get(id);
  if (!stored) throw new NotFoundError('not_found', `Response with id '${id}' not found. ${WHY}`, { param: 'response_id' });
  return stored;
}
