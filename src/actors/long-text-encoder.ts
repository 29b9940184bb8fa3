/**
 * Long prompts are encoded in a thread of their own (135,000 tokens take half a second), so that streams go on meanwhile.
 * The thread starts with the first long prompt and loads its own copy of the tokenizer. It gets one text at a time; those that wait for
 * it wait here, where the text of a client that left is dropped.
 */
import type { Worker } from 'node:worker_threads';
import { TroupeError } from '../core/errors.ts';
import type { EncodeOptions } from './prompt-encoder.ts';
import { startWorker } from './start-worker.ts';

export interface EncodeJob {
  readonly text: string;
  readonly addSpecialTokens: boolean;
}

export type EncodeResult = { readonly ids: Uint32Array } | { readonly error: string };

interface Waiting {
  readonly job: EncodeJob;
  readonly signal: AbortSignal | undefined;
  resolve(ids: readonly number[]): void;
  reject(reason: unknown): void;
}

export class LongTextEncoder {
  readonly #modelDir: string;
  readonly #waiting: Waiting[] = [];
  /** What the thread works on. */
  #current: Waiting | null = null;
  #worker: Worker | null = null;

  constructor(modelDir: string) {
    this.#modelDir = modelDir;
  }

  /**
   * Rejects with the signal's reason when it was aborted before the text's turn came.
   * @throws TroupeError internal_error when the thread failed; the next text starts another.
   */
  encode(text: string, { addSpecialTokens }: EncodeOptions, signal?: AbortSignal): Promise<readonly number[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job: { text, addSpecialTokens }, signal, resolve, reject });
      this.#next();
    });
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  /** Hands the thread the next text that somebody still waits for. */
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
      this.#worker.postMessage(next.job);
    }
  }

  #start(): Worker {
    const worker = startWorker('long-text-worker', { workerData: { modelDir: this.#modelDir } });
    worker.on('message', (result: EncodeResult) => this.#settle(result));
    worker.on('error', (error) => this.#fail(worker, error));
    worker.on('exit', (code) => this.#fail(worker, new Error(`The encoder thread ended with code ${code}.`)));
    return worker;
  }

  #settle(result: EncodeResult): void {
    const done = this.#current;
    this.#current = null;
    if ('ids' in result) done?.resolve(Array.from(result.ids));
    else done?.reject(failure(new Error(result.error)));
    this.#next();
  }

  /** Every text that waits fails with the thread: one after the other would start, and lose, a thread each. */
  #fail(worker: Worker, cause: unknown): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    const lost = this.#current ? [this.#current, ...this.#waiting] : [...this.#waiting];
    this.#current = null;
    this.#waiting.length = 0;
    for (const { reject } of lost) reject(failure(cause));
  }
}

const failure = (cause: unknown): TroupeError => new TroupeError('internal_error', 'The prompt could not be encoded.', { cause });
