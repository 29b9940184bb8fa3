/** Errors as Anthropic's clients know them: `{type: "error", error: {type, message}, request_id}`. */
import { TroupeError } from '../../core/errors.ts';
import { errorReply } from '../error-reply.ts';
import type { HttpReply } from '../http-message.ts';

/** Everything under it speaks this dialect, also its unknown paths and refused keys. */
export const MESSAGES_PATH = '/v1/messages';

export function isMessagesPath(path: string): boolean {
  return path === MESSAGES_PATH || path.startsWith(`${MESSAGES_PATH}/`);
}

const TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  405: 'invalid_request_error',
  408: 'timeout_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
};

/** Status and headers are those of every other endpoint; only the body differs. */
export function messageErrorReply(error: unknown, requestId: string): HttpReply {
  return { ...errorReply(error), body: JSON.stringify(messageErrorObject(error, requestId)) };
}

export function messageErrorObject(error: unknown, requestId: string) {
  const reply = errorReply(error);
  const { message } = (JSON.parse(reply.body as string) as { error: { message: string } }).error;
  const param = error instanceof TroupeError ? error.param : null;
  return {
    type: 'error',
    error: { type: TYPES[reply.status] ?? 'api_error', message: param === null ? message : `${dotted(param)}: ${message}` },
    request_id: requestId,
  };
}

/** Anthropic spells list items with dots: `messages.0.content`. */
function dotted(param: string): string {
  return param.replaceAll(/\[(\d+)\]/g, '.$1');
}
