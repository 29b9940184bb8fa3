/** One generation request of the API, from acceptance to its single end: logged once, its id given back, whatever happens. */
import { TroupeError } from '../core/errors.ts';
import type { FinishReason, GenerateRequest, Generation, TextDelta, Usage } from '../core/generation.ts';
import { logRequest } from '../telemetry/logger.ts';
import { FieldError } from './error-reply.ts';
import type { HttpRequest } from './http-message.ts';
import { mapInTurn } from './map-in-turn.ts';
import { mergeSources } from './merge-sources.ts';
import { checkPromptLogprobs } from './prompt-logprob-limit.ts';
import type { RequestContext } from './routes.ts';
import { requireGeneration, requireServing, type Services } from './services.ts';
import { addUsage } from './usage.ts';

export interface RunOptions {
  readonly id: string;
  /** One per prompt; each with the same n. */
  readonly requests: readonly GenerateRequest[];
  readonly stream: boolean;
  /** What the client gets of a delta; null = nothing. Absent = all of it. */
  readonly toClient?: ((delta: TextDelta) => TextDelta | null) | undefined;
  /** The output is not told, and not counted. */
  readonly scoresPromptOnly?: boolean;
}

/** When things happened, in milliseconds of the monotonic clock. */
export interface RunTimes {
  readonly arrivedAt: number;
  /** Accepted by an engine. */
  readonly startedAt: number;
  readonly firstTokenAt: number | null;
  readonly lastTokenAt: number | null;
}

export class GenerationRun {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  /** What the reply calls the model. */
  readonly model: string;
  readonly numChoices: number;
  readonly #services: Services;
  readonly #options: RunOptions;
  readonly #context: RequestContext;
  readonly #generations: readonly Generation[];
  readonly #finishReasons: FinishReason[] = [];
  readonly #startedAt: number;
  /** When the monotonic clock was 0, in milliseconds since 1970; read once, so that moments keep their order. */
  readonly #epochMs: number;
  #firstTokenAt: number | null = null;
  #lastTokenAt: number | null = null;
  #hasEnded = false;

  /**
   * Resolves when every prompt was accepted.
   * @throws TroupeError what `generate` refused one of them for; the others are aborted then.
   */
  static async start(
    services: Services,
    options: RunOptions,
    http: Pick<HttpRequest, 'signal'>,
    context: RequestContext,
  ): Promise<GenerationRun> {
    requireGeneration(services);
    requireServing(services.generator);
    const { activeIds, generator } = services;
    if (activeIds.has(options.id)) {
      throw new FieldError('invalid_value', `duplicated request_id: ${options.id} is still running.`, { param: 'request_id' });
    }
    activeIds.add(options.id);
    // A signal for each prompt: hundreds that listen to the same one would look like a leak to Node.
    const controllers = options.requests.map(() => new AbortController());
    const abort = () => {
      for (const controller of controllers) controller.abort();
    };
    if (http.signal.aborted) abort();
    http.signal.addEventListener('abort', abort, { once: true });
    try {
      const generations = await mapInTurn(options.requests, MAX_AT_ONCE, (request, i) =>
        generator.generate(request, controllers[i]!.signal),
      );
      checkPromptLogprobs(options.requests, generations, generator.model);
      const run = new GenerationRun(services, options, context, generations);
      http.signal.addEventListener('abort', () => run.#end('abort'), { once: true });
      if (http.signal.aborted) run.#end('abort');
      return run;
    } catch (error) {
      activeIds.delete(options.id);
      abort();
      throw error;
    }
  }

  private constructor(services: Services, options: RunOptions, context: RequestContext, generations: readonly Generation[]) {
    this.id = options.id;
    this.created = Math.floor(services.clock.now() / 1000);
    this.model = services.generator.model.names[0] ?? 'default';
    this.numChoices = options.requests.reduce((sum, request) => sum + request.n, 0);
    this.#services = services;
    this.#options = options;
    this.#context = context;
    this.#generations = generations;
    this.#startedAt = services.clock.monotonic();
    this.#epochMs = services.clock.now() - this.#startedAt;
  }

  /** Number of the prompt that this choice belongs to. */
  promptOf(choice: number): number {
    return Math.floor(choice / this.#choicesPerPrompt);
  }

  /** Of the prompt that this choice belongs to. */
  promptTokenIds(choice: number): readonly number[] {
    return this.generationOf(choice).promptTokenIds;
  }

  generationOf(choice: number): Generation {
    return this.#generations[this.promptOf(choice)]!;
  }

  /** Counts so far, over all prompts and choices. */
  usage(): Usage {
    const usage = this.#generations.map((generation) => generation.usage()).reduce(addUsage);
    return this.#options.scoresPromptOnly ? { ...usage, completionTokens: 0, reasoningTokens: 0 } : usage;
  }

  /** Seconds since the request arrived. */
  elapsedSeconds(): number {
    return (this.#services.clock.monotonic() - this.#context.arrivedAt) / 1000;
  }

  times(): RunTimes {
    const { arrivedAt } = this.#context;
    return { arrivedAt, startedAt: this.#startedAt, firstTokenAt: this.#firstTokenAt, lastTokenAt: this.#lastTokenAt };
  }

  /** A moment of the monotonic clock as seconds since 1970. */
  unixSeconds(at: number): number {
    return (this.#epochMs + at) / 1000;
  }

  /**
   * Everything that waited, joined, with `choice` counted over all prompts. To be iterated once; its end, failure or abandonment is
   * the end of the run.
   */
  async *deltas(): AsyncGenerator<readonly TextDelta[]> {
    try {
      for await (const batch of this.#source()) {
        for (const delta of batch) this.#note(delta);
        const told = this.#told(batch);
        if (told.length > 0) yield told;
      }
      this.#end(null);
    } catch (error) {
      this.#end('error', error);
      throw error;
    } finally {
      this.#end('abort');
    }
  }

  #source(): AsyncIterable<readonly TextDelta[]> {
    const [first] = this.#generations;
    if (this.#generations.length === 1 && first) return first.deltas;
    return mergedChoices(this.#generations, this.#choicesPerPrompt);
  }

  #told(batch: readonly TextDelta[]): readonly TextDelta[] {
    const { toClient } = this.#options;
    return toClient ? batch.map(toClient).filter((delta) => delta !== null) : batch;
  }

  get #choicesPerPrompt(): number {
    return this.#options.requests[0]?.n ?? 1;
  }

  #note(delta: TextDelta): void {
    if (delta.tokenIds.length > 0) {
      this.#lastTokenAt = this.#services.clock.monotonic();
      this.#firstTokenAt ??= this.#lastTokenAt;
    }
    if (delta.finishReason !== null) this.#finishReasons.push(delta.finishReason);
  }

  /** The first call counts: log line, metrics, id free again. */
  #end(early: 'abort' | 'error' | null, error?: unknown): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    const { activeIds, clock, logger } = this.#services;
    const { arrivedAt, route } = this.#context;
    activeIds.delete(this.id);
    const isOurs = error !== undefined && !(error instanceof TroupeError);
    if (isOurs) logger.error({ requestId: this.id, route, err: error }, 'request failed unexpectedly');
    const errorCode = error instanceof TroupeError ? error.code : 'internal_error';
    logRequest(logger, {
      requestId: this.id,
      route,
      stream: this.#options.stream,
      numChoices: this.numChoices,
      usage: this.usage(),
      ttftMs: this.#firstTokenAt === null ? null : this.#firstTokenAt - arrivedAt,
      e2eMs: clock.monotonic() - arrivedAt,
      finishReasons: early === null ? this.#finishReasons : [...this.#finishReasons, early],
      ...(error !== undefined && { errorCode }),
    });
    this.#context.markLogged();
    if (this.#options.stream) this.#context.observe(200);
  }
}

async function* mergedChoices(generations: readonly Generation[], perPrompt: number): AsyncGenerator<readonly TextDelta[]> {
  const sources = generations.map((generation) => generation.deltas);
  for await (const batch of mergeSources(sources)) {
    yield batch.map(([prompt, delta]) => ({ ...delta, choice: prompt * perPrompt + delta.choice }));
  }
}

/** Prompts of a batch that are prepared at the same time: others get between them, and what comes after a refused one is never begun. */
const MAX_AT_ONCE = 16;
