/**
 * Bytes that are not a message of this protocol version: from another release, or damaged. The receiver drops and counts them; they never
 * end a process or a request that they do not belong to.
 */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  /** `version`: a message of another protocol version. `malformed`: not a message at all, or a required field is missing. */
  readonly code: 'version' | 'malformed';

  constructor(code: ProtocolError['code'], message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}
