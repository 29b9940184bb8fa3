/**
 * Makes the formats that take longer, one at a time, beside the event loop. Its work is bounded (text/constraint/work-limit.ts): a second
 * for each at most.
 */
import { TroupeError } from '../core/errors.ts';
import type { ConstraintSpec } from '../core/generation.ts';
import type { Format } from '../text/constraint/structural-tag.ts';
import type { FormatThread } from './constraint-formats.ts';
import { JobThread } from './job-thread.ts';
import { startWorker } from './start-worker.ts';

export type FormatResult =
  | { readonly format: Format }
  | { readonly refusal: string; readonly param: string }
  | { readonly failure: string };

const MAX_WAITING = 64;

export class ConstraintThread implements FormatThread {
  readonly #thread = new JobThread<ConstraintSpec, FormatResult, Format>({
    start: () => startWorker('constraint-worker', {}),
    name: 'constraint',
    read: formatOf,
    lost: failed,
    losesWaiting: false,
  });

  format(spec: ConstraintSpec, signal?: AbortSignal): Promise<Format> {
    if (this.#thread.numWaiting < MAX_WAITING) return this.#thread.run(spec, signal);
    const message = 'Too many constraints wait to be compiled. Please try again.';
    return Promise.reject(new TroupeError('queue_full', message, { retryAfterMs: 1000 }));
  }

  close(): Promise<void> {
    return this.#thread.close();
  }
}

function formatOf(result: FormatResult): Format {
  if ('format' in result) return result.format;
  if ('refusal' in result) throw new TroupeError('invalid_request', result.refusal, { param: result.param });
  throw failed(new Error(result.failure));
}

function failed(cause: unknown): TroupeError {
  return new TroupeError('internal_error', 'The constraint could not be compiled.', { cause });
}
