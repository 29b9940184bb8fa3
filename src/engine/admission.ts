/** Whether the engine takes a request, and how long the queue in front of it is. */
import type { KvCache } from './kv/kv-cache.ts';
import type { LiveRequests } from './live-requests.ts';
import type { AddResult, EngineRequest } from './request.ts';
import type { Scheduler } from './scheduler.ts';
import type { LoadMeter } from './stats.ts';

export interface AdmissionOptions {
  readonly maxModelLen: number;
  /** Requests that may wait beyond those that free rows will take in the next step. */
  readonly maxNumWaiting: number;
  readonly kv: KvCache;
  readonly scheduler: Scheduler;
  readonly requests: LiveRequests;
  readonly load: LoadMeter;
}

export class Admission {
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Why the request is not taken, or null. Continuations are never refused for load. */
  refusal(request: EngineRequest): AddResult | null {
    return this.#tooLong(request) ?? this.#queueFull(request);
  }

  /** Requests that the first sequences of the queue belong to. */
  requestsAhead(numSequences: number): number {
    const ahead = new Set<EngineRequest>();
    for (let i = 0; i < numSequences; i++) ahead.add(this.#options.scheduler.waiting[i]!.request);
    return ahead.size;
  }

  /** Tokens that waiting sequences still have to compute, without what they take from another choice of theirs. */
  get queuedPrefillTokens(): number {
    const { scheduler, kv } = this.#options;
    let numTokens = 0;
    for (const sequence of scheduler.waiting) {
      if (sequence.flow !== 'running') continue; // its reader may never come back
      const numShared = sequence.leader === null ? 0 : sequence.numPromptTokens - (sequence.numPromptTokens % kv.blockSize);
      numTokens += sequence.numTokens - numShared;
    }
    return numTokens;
  }

  /** A prompt that something is generated after leaves room for one token; that one needs no place in the KV cache. */
  #tooLong(request: EngineRequest): AddResult | null {
    const { maxModelLen, kv } = this.#options;
    const numPromptTokens = request.promptIds.length;
    const numCacheTokens = kv.numBlocks * kv.blockSize;
    const maxPromptLen = Math.min(request.params.pooling ? maxModelLen : maxModelLen - 1, numCacheTokens);
    if (numPromptTokens <= maxPromptLen) return null;
    const limit = `${maxPromptLen} (maxModelLen ${maxModelLen}, KV cache ${kv.numBlocks} blocks of ${kv.blockSize})`;
    const message = `The prompt has ${numPromptTokens} tokens; at most ${limit} can be served.`;
    return { type: 'nack', code: 'too_long', retryAfterMs: 0, message };
  }

  #queueFull(request: EngineRequest): AddResult | null {
    const { maxNumWaiting, kv, scheduler, requests, load } = this.#options;
    const isContinuation = request.choices.some((choice) => choice.outputIds.length > 0);
    if (isContinuation || requests.numQueued < maxNumWaiting + kv.numFreeRows) return null;
    const retryAfterMs = load.retryAfterMs({
      queuedPrefillTokens: this.queuedPrefillTokens,
      numRunning: scheduler.running.length,
      hasFreeRow: kv.numFreeRows > 0,
    });
    return { type: 'nack', code: 'queue_full', retryAfterMs, message: `${requests.numQueued} requests are waiting, the queue is full.` };
  }
}

/** What would bring the runner down if it were run. The frontend checks too; a bad request must not cost the others their engine. */
export function problemOf(request: EngineRequest, vocabSize: number): string | null {
  if (request.promptIds.length === 0) return 'the prompt is empty';
  for (const ids of [request.promptIds, ...request.choices.map((choice) => choice.outputIds)]) {
    const wrong = ids.find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabSize));
    if (wrong !== undefined) return `token id ${wrong} is not in the vocabulary of ${vocabSize}`;
  }
  return null;
}
