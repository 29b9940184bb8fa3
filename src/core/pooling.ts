/** A prompt in, the model's view of it out: what embeddings and rewards are made of. Implemented by actors/frontend.ts. */
import type { Prompt } from './generation.ts';

export interface PoolingRequest {
  readonly requestId: string;
  /** The API request that it is a part of, when that has several inputs. */
  readonly batchId?: string | undefined;
  readonly prompt: Prompt;
  /** Keep only the last so many prompt tokens; -1 = as many as the model takes. Absent = a prompt that is too long is refused. */
  readonly truncatePromptTokens?: number | undefined;
  /** Smaller runs earlier; 0 by default. */
  readonly priority: number;
}

export interface Pooled {
  /** [hiddenSize]: the output of the final norm for the prompt's last token. */
  readonly hidden: Float32Array;
  readonly numPromptTokens: number;
  /** Of those, taken from the prefix cache. */
  readonly numCachedTokens: number;
}

export interface Pooler {
  /**
   * Computes the prompt, and nothing after it.
   * @throws TroupeError as a generation does; cancelled when an operator ended it.
   */
  pool(request: PoolingRequest, signal: AbortSignal): Promise<Pooled>;
}
