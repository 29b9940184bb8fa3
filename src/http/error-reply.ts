/** How each failure looks to a client: one table from error code to status, and the OpenAI error object. Never a stack trace. */
import { type ErrorCode, type ErrorFacts, TroupeError } from '../core/errors.ts';
import { type HttpReply, jsonReply } from './http-message.ts';

interface ErrorShape {
  readonly status: number;
  readonly type: string;
  /** What `error.code` says; null = the field stays null. */
  readonly code: string | null;
}

const SHAPES: Readonly<Record<ErrorCode, ErrorShape>> = {
  invalid_request: { status: 400, type: 'invalid_request_error', code: 'invalid_value' },
  context_length_exceeded: { status: 400, type: 'invalid_request_error', code: 'context_length_exceeded' },
  model_not_found: { status: 404, type: 'invalid_request_error', code: 'model_not_found' },
  unauthorized: { status: 401, type: 'authentication_error', code: 'invalid_api_key' },
  timeout: { status: 408, type: 'timeout_error', code: 'timeout' },
  cancelled: { status: 503, type: 'server_error', code: 'cancelled' },
  not_found: { status: 404, type: 'invalid_request_error', code: 'not_found' },
  method_not_allowed: { status: 405, type: 'invalid_request_error', code: 'method_not_allowed' },
  payload_too_large: { status: 413, type: 'invalid_request_error', code: 'payload_too_large' },
  queue_full: { status: 429, type: 'rate_limit_error', code: 'queue_full' },
  internal_error: { status: 500, type: 'internal_error', code: 'internal_error' },
  engine_failed: { status: 500, type: 'server_error', code: 'engine_failed' },
  poisoned_request: { status: 500, type: 'server_error', code: 'poisoned_request' },
  model_loading: { status: 503, type: 'server_error', code: 'model_loading' },
  no_engine: { status: 503, type: 'server_error', code: 'no_engine' },
  server_draining: { status: 503, type: 'server_error', code: 'server_draining' },
  paused: { status: 503, type: 'server_error', code: 'paused' },
};

/** When a retry makes sense and the thrower knew no better time. */
const DEFAULT_RETRY_AFTER_MS: Partial<Record<ErrorCode, number>> = {
  queue_full: 1000,
  model_loading: 5000,
  no_engine: 5000,
  server_draining: 5000,
  paused: 5000,
};

/** Bad input with a code of its own in the reply, where OpenAI's and FastDeploy's clients look at it. */
export class FieldError extends TroupeError {
  readonly replyCode: 'missing_required_parameter' | 'unsupported_parameter' | 'invalid_value';

  constructor(replyCode: FieldError['replyCode'], message: string, facts: ErrorFacts = {}) {
    super('invalid_request', message, facts);
    this.replyCode = replyCode;
  }
}

/** Something that the request names is not there; with a code of its own in the reply. */
export class NotFoundError extends TroupeError {
  readonly replyCode: 'previous_response_not_found' | 'not_found';

  constructor(replyCode: NotFoundError['replyCode'], message: string, facts: ErrorFacts = {}) {
    super('not_found', message, facts);
    this.replyCode = replyCode;
  }
}

/** Asked for while `--no-enable-logprob`; the words are FastDeploy's. */
export function logprobsDisabled(param: string): FieldError {
  return new FieldError('invalid_value', 'Logprobs is disabled, please enable it in startup config.', { param });
}

/** `{"error":{message,type,param,code}}` as text. Anything but a TroupeError is our bug: the client learns no more than that. */
export function errorBody(error: unknown): string {
  const known = toTroupeError(error);
  const { type, code } = SHAPES[known.code];
  const replyCode = known instanceof FieldError || known instanceof NotFoundError ? known.replyCode : code;
  return JSON.stringify({ error: { message: known.message, type, param: known.param, code: replyCode } });
}

/** The reply to a request that failed before its first byte. */
export function errorReply(error: unknown): HttpReply {
  const known = toTroupeError(error);
  const retryAfterMs = known.retryAfterMs ?? DEFAULT_RETRY_AFTER_MS[known.code];
  const headers = {
    ...(retryAfterMs !== undefined && { 'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1000))) }),
    ...(known.code === 'unauthorized' && { 'www-authenticate': 'Bearer' }),
  };
  return { ...jsonReply(SHAPES[known.code].status, null, headers), body: errorBody(known) };
}

export function statusOf(error: unknown): number {
  return SHAPES[toTroupeError(error).code].status;
}

function toTroupeError(error: unknown): TroupeError {
  if (error instanceof TroupeError) return error;
  return new TroupeError('internal_error', 'The server failed to answer this request. Its log has the details under the request id.');
}

/** The 405 needs one more header than the error object says. */
export class MethodNotAllowedError extends TroupeError {
  readonly allow: string;

  constructor(method: string, path: string, allow: readonly string[]) {
    super('method_not_allowed', `${path} does not take ${method}; it takes ${allow.join(' or ')}.`);
    this.allow = allow.join(', ');
  }
}
