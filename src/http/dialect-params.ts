/** Errors about a chat request, told with the field names of the dialect that it was translated from. */
import { TroupeError } from '../core/errors.ts';
import { FieldError } from './error-reply.ts';

/** Chat field → the dialect's field; a path below the one becomes a path below the other. */
export type ParamNames = ReadonlyMap<string, string>;

/** `param` in the dialect's words: `messages[2].content` → `input[1].content` where `messages[2]` came from `input[1]`. */
function spellParam(param: string, names: ParamNames): string {
  for (let end = param.length; end > 0; end = Math.max(param.lastIndexOf('.', end - 1), param.lastIndexOf('[', end - 1))) {
    const name = names.get(param.slice(0, end));
    if (name !== undefined) return name + param.slice(end);
  }
  return param;
}

/** The error with its field renamed; whatever names none comes back as it is. */
export function renameParam(error: unknown, names: ParamNames): unknown {
  if (!(error instanceof TroupeError) || error.param === null) return error;
  const param = spellParam(error.param, names);
  if (param === error.param) return error;
  const facts = { param, cause: error, ...(error.retryAfterMs !== null && { retryAfterMs: error.retryAfterMs }) };
  if (error instanceof FieldError) return new FieldError(error.replyCode, error.message, facts);
  return new TroupeError(error.code, error.message, facts);
}
