/** Ids of tool calls: of the request's own numbers, so that they are the same in each attempt, and differ between the turns of a chat. */
import { createHash } from 'node:crypto';

/** @returns the id of the choice's call with that index, `chatcmpl-tool-` and 32 hexadecimal digits. */
export function toolCallIds({ requestId }: { readonly requestId: string }, seed: bigint, choice: number): (index: number) => string {
  return (index) => {
    const hash = createHash('sha256').update(`${requestId}\n${seed}\n${choice}\n${index}`);
    return `chatcmpl-tool-${hash.digest('hex').slice(0, 32)}`;
  };
}
