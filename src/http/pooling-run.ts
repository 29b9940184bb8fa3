/** The inputs of one pooling request, computed together: logged once, its id given back, whatever happens. */
import { TroupeError } from '../core/errors.ts';
import type { Prompt } from '../core/generation.ts';
import type { Pooled } from '../core/pooling.ts';
import { logRequest } from '../telemetry/logger.ts';
import { FieldError } from './error-reply.ts';
import type { HttpRequest } from './http-message.ts';
import { mapInTurn } from './map-in-turn.ts';
import type { RequestContext } from './routes.ts';
import { requireServing, type Services } from './services.ts';

export interface PoolingRunOptions {
  readonly id: string;
  readonly prompts: readonly Prompt[];
  readonly truncatePromptTokens: number | undefined;
  readonly priority: number;
}

/** Inputs that are with the engine at the same time: as many as it can batch, without filling its queue. */
const MAX_AT_ONCE = 64;

/** Results in the order of the prompts. @throws TroupeError what one of them failed with; the others are aborted then. */
export async function poolAll(
  services: Services,
  { id, prompts, truncatePromptTokens, priority }: PoolingRunOptions,
  http: HttpRequest,
  context: RequestContext,
): Promise<readonly Pooled[]> {
  requireServing(services.generator);
  const { activeIds, pooler } = services;
  if (activeIds.has(id)) throw new FieldError('invalid_value', `duplicated request_id: ${id} is still running.`, { param: 'request_id' });
  activeIds.add(id);
  const controllers = new Set<AbortController>();
  const abort = (): void => {
    for (const controller of controllers) controller.abort();
  };
  http.signal.addEventListener('abort', abort, { once: true });
  const poolOne = async (prompt: Prompt, i: number): Promise<Pooled> => {
    const name = prompts.length > 1 ? { requestId: `${id}_${i}`, batchId: id } : { requestId: id };
    // A signal for each input: hundreds that listen to the same one would look like a leak to Node.
    const controller = new AbortController();
    controllers.add(controller);
    http.signal.throwIfAborted();
    try {
      return await pooler.pool({ ...name, prompt, truncatePromptTokens, priority }, controller.signal);
    } finally {
      controllers.delete(controller);
    }
  };
  let results: readonly Pooled[] = [];
  let failure: unknown = null;
  try {
    results = await mapInTurn(prompts, MAX_AT_ONCE, poolOne);
    return results;
  } catch (error) {
    failure = error;
    abort();
    throw error;
  } finally {
    activeIds.delete(id);
    http.signal.removeEventListener('abort', abort);
    log(services, context, { id, numInputs: prompts.length, results, failure, isAbandoned: http.signal.aborted });
  }
}

/** The `usage` of a reply: nothing is completed. */
export function poolingUsage(results: readonly Pooled[]) {
  const promptTokens = results.reduce((sum, result) => sum + result.numPromptTokens, 0);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: 0,
    total_tokens: promptTokens,
    prompt_tokens_details: { cached_tokens: results.reduce((sum, result) => sum + result.numCachedTokens, 0) },
  };
}

interface Outcome {
  readonly id: string;
  readonly numInputs: number;
  readonly results: readonly Pooled[];
  readonly failure: unknown;
  readonly isAbandoned: boolean;
}

/** A failure is logged by whoever answers it. */
function log({ logger, clock }: Services, context: RequestContext, { id, numInputs, results, failure, isAbandoned }: Outcome): void {
  if (failure !== null && !isAbandoned && !(failure instanceof TroupeError)) return;
  const usage = poolingUsage(results);
  logRequest(logger, {
    requestId: id,
    route: context.route,
    stream: false,
    numChoices: numInputs,
    usage: {
      promptTokens: usage.prompt_tokens,
      completionTokens: 0,
      cachedTokens: usage.prompt_tokens_details.cached_tokens,
      reasoningTokens: 0,
    },
    ttftMs: null,
    e2eMs: clock.monotonic() - context.arrivedAt,
    finishReasons: [isAbandoned ? 'abort' : failure === null ? 'stop' : 'error'],
    ...(failure instanceof TroupeError && { errorCode: failure.code }),
  });
  context.markLogged();
}
