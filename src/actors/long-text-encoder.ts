/**
 * Long prompts are encoded in a thread of their own (135,000 tokens take half a second), so that streams go on meanwhile.
 * The thread loads its own copy of the tokenizer.
 */
import { TroupeError } from '../core/errors.ts';
import { JobThread } from './job-thread.ts';
import type { EncodeOptions } from './prompt-encoder.ts';
import { startWorker } from './start-worker.ts';

export interface EncodeJob {
  readonly text: string;
  readonly addSpecialTokens: boolean;
}

export type EncodeResult = { readonly ids: Uint32Array } | { readonly error: string };

export class LongTextEncoder {
  readonly #thread: JobThread<EncodeJob, EncodeResult, readonly number[]>;

  constructor(modelDir: string) {
    this.#thread = new JobThread({
      start: () => startWorker('long-text-worker', { workerData: { modelDir } }),
      name: 'encoder',
      read: idsOf,
      lost: failure,
      // One after the other would start, and lose, a thread each.
      losesWaiting: true,
    });
  }

  /**
   * Rejects with the signal's reason when it was aborted before the text's turn came.
   * @throws TroupeError internal_error when the thread failed; the next text starts another.
   */
  encode(text: string, { addSpecialTokens }: EncodeOptions, signal?: AbortSignal): Promise<readonly number[]> {
    return this.#thread.run({ text, addSpecialTokens }, signal);
  }

  close(): Promise<void> {
    return this.#thread.close();
  }
}

function idsOf(result: EncodeResult): readonly number[] {
  if ('ids' in result) return Array.from(result.ids);
  throw failure(new Error(result.error));
}

function failure(cause: unknown): TroupeError {
  return new TroupeError('internal_error', 'The prompt could not be encoded.', { cause });
}
