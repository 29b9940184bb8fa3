/** Which running requests an operator means by an id. */

/** What an id is compared with: the request's own, and that of the batch it is a part of. */
export interface NamedRequest {
  readonly requestId: string;
  readonly batchId?: string | undefined;
}

const PREFIX = /^(?:chatcmpl-|cmpl-|embd-|reward-|resp_|msg_)/;

/** `chatcmpl-abc` → `abc`: the same id whichever endpoint it was given to. */
const bare = (id: string): string => id.replace(PREFIX, '');

/**
 * The id that `given` stands for in the replies, or null when it is not this request's: the request's own, with or without the prefix of
 * its endpoint, or its batch's.
 */
export function matchedName(given: string, { requestId, batchId }: NamedRequest): string | null {
  if (bare(given) === bare(requestId)) return requestId;
  return batchId !== undefined && bare(given) === bare(batchId) ? batchId : null;
}
