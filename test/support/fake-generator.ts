/** A TextGenerator without a model: each request plays a script. Back-pressure, aborts and failures behave as the real one's do. */
import { AsyncQueue } from '../../src/core/async-queue.ts';
import type {
  GenerateRequest,
  Generation,
  ModelCard,
  PromptTokenLogprob,
  Readiness,
  TextDelta,
  TextGenerator,
  Usage,
} from '../../src/core/generation.ts';

/** The deltas of one choice or more; a missing field is empty. */
export type ScriptedDelta = Partial<TextDelta>;

export interface FakeRun {
  readonly request: GenerateRequest;
  readonly signal: AbortSignal;
  /** Batches that were read so far. */
  readonly numRead: number;
}

export interface FakeGeneratorOptions {
  readonly model?: Partial<ModelCard>;
  /** The answer to a request: batches, read one at a time. May be endless, may throw, may wait. */
  readonly script?: (
    request: GenerateRequest,
    signal: AbortSignal,
  ) => AsyncIterable<readonly ScriptedDelta[]> | Iterable<readonly ScriptedDelta[]>;
  /** Refuses the request instead. */
  readonly refuse?: (request: GenerateRequest) => Error | null;
  readonly promptTokenIds?: readonly number[];
  readonly promptText?: string;
  /** Names of the prompt's tokens. */
  readonly promptTokens?: readonly string[];
  /** Told when the request asks for any. */
  readonly promptLogprobs?: readonly (PromptTokenLogprob | null)[];
  readonly cachedTokens?: number;
}

export class FakeGenerator implements TextGenerator {
  readonly model: ModelCard;
  readonly runs: FakeRun[] = [];
  state: Readiness = { state: 'ready' };
  readonly #options: FakeGeneratorOptions;

  constructor(options: FakeGeneratorOptions = {}) {
    this.#options = options;
    this.model = {
      names: ['troupe-mini'],
      isNameChecked: false,
      maxModelLen: 2048,
      createdSeconds: 1_700_000_000,
      vocabSize: 4096,
      ...options.model,
    };
  }

  get requests(): readonly GenerateRequest[] {
    return this.runs.map((run) => run.request);
  }

  readiness(): Readiness {
    return this.state;
  }

  async generate(request: GenerateRequest, signal: AbortSignal): Promise<Generation> {
    signal.throwIfAborted();
    const refusal = this.#options.refuse?.(request);
    if (refusal) throw refusal;
    const run = { request, signal, numRead: 0 };
    this.runs.push(run);
    const promptTokenIds = this.#options.promptTokenIds ?? [1, 2, 3];
    const usage = {
      promptTokens: promptTokenIds.length,
      completionTokens: 0,
      cachedTokens: this.#options.cachedTokens ?? 0,
      reasoningTokens: 0,
    };
    const script = (this.#options.script ?? sayHello)(request, signal);
    return {
      promptTokenIds,
      promptText: () => this.#options.promptText ?? '',
      promptTokens: () => this.#options.promptTokens ?? promptTokenIds.map((id) => `<${id}>`),
      promptLogprobs: () =>
        request.sampling.promptLogprobs === undefined ? null : (this.#options.promptLogprobs ?? promptTokenIds.map(() => null)),
      deltas: play(script, signal, run, usage),
      usage: () => ({ ...usage }),
    };
  }
}

/** The default: two tokens of text per choice, then the end. */
export function* sayHello(request: GenerateRequest): Generator<readonly ScriptedDelta[]> {
  for (const text of ['Hello', ' world']) yield each(request, () => ({ text, tokenIds: [text.length] }));
  yield each(request, () => ({ tokenIds: [2], finishReason: 'stop' }));
}

/** One delta per choice. */
export function each(request: GenerateRequest, delta: (choice: number) => ScriptedDelta): ScriptedDelta[] {
  return Array.from({ length: request.n }, (_, choice) => ({ choice, ...delta(choice) }));
}

/** A script that a test feeds by hand; reading waits, and takes all that is there. */
export function handFed(): { readonly queue: AsyncQueue<ScriptedDelta>; readonly script: () => AsyncIterable<readonly ScriptedDelta[]> } {
  const queue = new AsyncQueue<ScriptedDelta>();
  return { queue, script: () => queue };
}

async function* play(
  script: AsyncIterable<readonly ScriptedDelta[]> | Iterable<readonly ScriptedDelta[]>,
  signal: AbortSignal,
  run: { numRead: number },
  usage: { -readonly [Key in keyof Usage]: Usage[Key] },
): AsyncGenerator<readonly TextDelta[]> {
  const iterator = Symbol.asyncIterator in script ? script[Symbol.asyncIterator]() : script[Symbol.iterator]();
  const aborted = new Promise<{ readonly done: true; readonly value: undefined }>((resolve) => {
    signal.addEventListener('abort', () => resolve({ done: true, value: undefined }), { once: true });
  });
  for (;;) {
    const { done, value } = await Promise.race([iterator.next(), aborted]);
    if (done || signal.aborted) return;
    run.numRead++;
    for (const delta of value) usage.completionTokens += delta.tokenIds?.length ?? 0;
    yield value.map((delta) => ({
      choice: 0,
      text: '',
      reasoning: '',
      rawText: delta.text ?? '',
      tokenIds: [],
      logprobs: null,
      finishReason: null,
      ...delta,
    }));
  }
}
