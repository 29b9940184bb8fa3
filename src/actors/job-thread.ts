/**
 * A helper thread that gets one job at a time. It starts with the first of them; those that wait for it wait here, where the job of a
 * client that left is dropped. It keeps the process alive only while it works.
 */
import type { Worker } from 'node:worker_threads';

export interface JobThreadOptions<Answer, Result> {
  readonly start: () => Worker;
  /** In the message that tells of its end. */
  readonly name: string;
  /** What an answer comes to. @throws what its job is rejected with. */
  readonly read: (answer: Answer) => Result;
  /** What jobs are rejected with that are lost with their thread. */
  readonly lost: (cause: unknown) => unknown;
  /** Whether those that wait are lost with it, too; otherwise they get a new thread. */
  readonly losesWaiting: boolean;
}

interface Waiting<Job, Result> {
  readonly job: Job;
  readonly signal: AbortSignal | undefined;
  resolve(result: Result): void;
  reject(reason: unknown): void;
}

export class JobThread<Job, Answer, Result> {
  readonly #options: JobThreadOptions<Answer, Result>;
  readonly #waiting: Waiting<Job, Result>[] = [];
  /** What the thread works on. */
  #current: Waiting<Job, Result> | null = null;
  #worker: Worker | null = null;

  constructor(options: JobThreadOptions<Answer, Result>) {
    this.#options = options;
  }

  get numWaiting(): number {
    return this.#waiting.length;
  }

  /** Rejects with the signal's reason when it was aborted before the job's turn came. */
  run(job: Job, signal?: AbortSignal): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, signal, resolve, reject });
      this.#next();
    });
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  /** Hands the thread the next job that somebody still waits for. */
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
    const worker = this.#options.start();
    worker.on('message', (answer: Answer) => this.#settle(answer));
    worker.on('error', (error) => this.#fail(worker, error));
    worker.on('exit', (code) => this.#fail(worker, new Error(`The ${this.#options.name} thread ended with code ${code}.`)));
    return worker;
  }

  #settle(answer: Answer): void {
    const done = this.#current;
    this.#current = null;
    try {
      done?.resolve(this.#options.read(answer));
    } catch (error) {
      done?.reject(error);
    }
    this.#next();
  }

  #fail(worker: Worker, cause: unknown): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    const lost = [...(this.#current ? [this.#current] : []), ...(this.#options.losesWaiting ? this.#waiting.splice(0) : [])];
    this.#current = null;
    for (const { reject } of lost) reject(this.#options.lost(cause));
    this.#next();
  }
}
