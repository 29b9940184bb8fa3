/**
 * Long prompts are encoded in a thread of their own (135,000 tokens take half a second), so that streams go on meanwhile.
 * The thread starts with the first long prompt and loads its own copy of the tokenizer.
 */
import type { Worker } from 'node:worker_threads';
import { TroupeError } from '../core/errors.ts';
import { startWorker } from './start-worker.ts';

export interface EncodeJob {
  readonly id: number;
  readonly text: string;
  readonly addSpecialTokens: boolean;
}

export type EncodeResult = { readonly id: number; readonly ids: Uint32Array } | { readonly id: number; readonly error: string };

interface Waiting {
  resolve(ids: readonly number[]): void;
  reject(error: Error): void;
}

export class LongTextEncoder {
  readonly #modelDir: string;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | null = null;
  #nextId = 1;

  constructor(modelDir: string) {
    this.#modelDir = modelDir;
  }

  /** @throws TroupeError internal_error when the thread failed; the next call starts another. */
  encode(text: string, options: { readonly addSpecialTokens: boolean }): Promise<readonly number[]> {
    const id = this.#nextId++;
    this.#worker ??= this.#start();
    const worker = this.#worker;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      worker.ref(); // a process that has only this left to do stays
      worker.postMessage({ id, text, addSpecialTokens: options.addSpecialTokens } satisfies EncodeJob);
    });
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const worker = startWorker('long-text-worker', { workerData: { modelDir: this.#modelDir } });
    worker.on('message', (result: EncodeResult) => this.#settle(result));
    worker.on('error', (error) => this.#fail(worker, error));
    worker.on('exit', (code) => this.#fail(worker, new Error(`The encoder thread ended with code ${code}.`)));
    return worker;
  }

  #settle(result: EncodeResult): void {
    const waiting = this.#waiting.get(result.id);
    this.#waiting.delete(result.id);
    if (this.#waiting.size === 0) this.#worker?.unref();
    if ('ids' in result) waiting?.resolve(Array.from(result.ids));
    else waiting?.reject(new TroupeError('internal_error', 'The prompt could not be encoded.', { cause: new Error(result.error) }));
  }

  #fail(worker: Worker, cause: unknown): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    const error = new TroupeError('internal_error', 'The prompt could not be encoded.', { cause });
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }
}
