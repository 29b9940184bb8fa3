/**
 * Makes the formats that take longer, one at a time, beside the event loop. The thread starts with the first of them. Its work is bounded
 * (text/constraint/work-limit.ts): a second for each at most.
 */
import type { Worker } from 'node:worker_threads';
import { TroupeError } from '../core/errors.ts';
import type { ConstraintSpec } from '../core/generation.ts';
import type { Format } from '../text/constraint/structural-tag.ts';
import type { FormatThread } from './constraint-formats.ts';
import { startWorker } from './start-worker.ts';

export type FormatResult =
  | { readonly format: Format }
  | { readonly refusal: string; readonly param: string }
  | { readonly failure: string };

interface Waiting {
  readonly spec: ConstraintSpec;
  readonly signal: AbortSignal | undefined;
  resolve(format: Format): void;
  reject(reason: unknown): void;
}

const MAX_WAITING = 64;

export class ConstraintThread implements FormatThread {
  readonly #waiting: Waiting[] = [];
  /** What the thread works on. */
  #current: Waiting | null = null;
  #worker: Worker | null = null;

  format(spec: ConstraintSpec, signal?: AbortSignal): Promise<Format> {
    if (this.#waiting.length >= MAX_WAITING) {
      const message = 'Too many constraints wait to be compiled. Please try again.';
      return Promise.reject(new TroupeError('queue_full', message, { retryAfterMs: 1000 }));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ spec, signal, resolve, reject });
      this.#next();
    });
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  /** Hands the thread the next one that somebody still waits for. */
  #next(): void {
    while (!this.#current) {
      const next = this.#waiting.shift();
      if (!next) {
        this.#worker?.unref();
        return;
      }
      if (next.signal?.aborted) {
        next.reject(next.signal.reason);
        continue;
      }
      this.#current = next;
      this.#worker ??= this.#start();
      this.#worker.ref(); // a process that has only this left to do stays
      this.#worker.postMessage(next.spec);
    }
  }

  #start(): Worker {
    const worker = startWorker('constraint-worker', {});
    worker.on('message', (result: FormatResult) => this.#settle(result));
    worker.on('error', (error) => this.#fail(worker, error));
    worker.on('exit', (code) => this.#fail(worker, new Error(`The constraint thread ended with code ${code}.`)));
    return worker;
  }

  #settle(result: FormatResult): void {
    const done = this.#current;
    this.#current = null;
    if ('format' in result) done?.resolve(result.format);
    else if ('refusal' in result) done?.reject(new TroupeError('invalid_request', result.refusal, { param: result.param }));
    else done?.reject(failed(new Error(result.failure)));
    this.#next();
  }

  /** What it worked on fails with the thread; the others get a new one. */
  #fail(worker: Worker, cause: unknown): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    this.#current?.reject(failed(cause));
    this.#current = null;
    this.#next();
  }
}

const failed = (cause: unknown): TroupeError => new TroupeError('internal_error', 'The constraint could not be compiled.', { cause });
