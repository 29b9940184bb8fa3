/**
 * Every failure that a client or an operator can see is a TroupeError: a code, a sentence that says what to do, and the facts.
 * The HTTP status of each code stands in one table, http/error-reply.ts.
 */
export type ErrorCode =
  | 'invalid_request' // the body or a field is wrong; `param` names the field
  | 'context_length_exceeded'
  | 'model_not_found'
  | 'model_loading'
  | 'no_engine' // no engine group became available in time
  | 'paused' // the server stayed paused for as long as a request waits
  | 'server_draining'
  | 'queue_full'
  | 'engine_failed' // the engine died more often than this request may be continued
  | 'poisoned_request'
  | 'timeout' // the request's own deadline passed
  | 'cancelled' // an operator ended it
  | 'unauthorized'
  | 'payload_too_large'
  | 'not_found'
  | 'method_not_allowed'
  | 'internal_error';

export interface ErrorFacts {
  /** The request field at fault, in the API's spelling, e.g. `messages[0].content`. */
  readonly param?: string;
  /** For overload: when a retry is likely to be accepted. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

export class TroupeError extends Error {
  override readonly name = 'TroupeError';
  readonly code: ErrorCode;
  readonly param: string | null;
  readonly retryAfterMs: number | null;

  constructor(code: ErrorCode, message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = code;
    this.param = facts.param ?? null;
    this.retryAfterMs = facts.retryAfterMs ?? null;
  }
}

/**
 * The operator gave something that cannot work: a flag, a model folder, a busy port.
 * main.ts prints the message as one line and exits with code 2.
 */
export class StartupError extends Error {
  override readonly name = 'StartupError';
}

/** A broken invariant: our bug, never the caller's. */
export function assert(claim: unknown, message: string): asserts claim {
  if (!claim) throw new Error(`Invariant broken: ${message}`);
}
