/** The whole API as one function from request to reply; uws-server.ts gives it a socket, tests call it in process. */
import { randomUUID } from 'node:crypto';
import { TroupeError } from '../core/errors.ts';
import type { OpenGenerations } from '../core/open-generations.ts';
import { ApiKeys } from './api-keys.ts';
import { chatCompletions } from './chat-completions.ts';
import { completions } from './completions.ts';
import { ConcurrencyGate, type ConcurrencyLimit, holdUntilEnd } from './concurrency-gate.ts';
import { corsHeaders } from './cors.ts';
import { embeddings } from './embeddings.ts';
import { errorReply, MethodNotAllowedError, statusOf } from './error-reply.ts';
import { health, live, ready } from './health.ts';
import type { HttpReply, HttpRequest } from './http-message.ts';
import { isMessagesPath, MESSAGES_PATH, messageErrorReply } from './messages/message-error.ts';
import { countTokens, messages } from './messages/messages.ts';
import { metricsText } from './metrics-route.ts';
import { listModels, MODELS_PATH, retrieveModel } from './models.ts';
import { openApiRoutes } from './openapi/openapi-routes.ts';
import { abortRequests, configInfo, isPaused, pause, resume } from './operations.ts';
import { RESPONSES_PATH, responseRoutes } from './responses/stored-responses.ts';
import { reward } from './reward.ts';
import { load, root, versionInfo } from './root.ts';
import { findRoute, match, type RequestContext, type Routes } from './routes.ts';
import type { Services } from './services.ts';
import { detokenize, tokenize } from './tokenize.ts';

export interface ApiOptions extends Omit<Services, 'activeIds'> {
  readonly edge?: EdgeOptions;
}

/** Who may use the API. */
export interface EdgeOptions {
  /** Of `digestOf`; none = no key is needed. */
  readonly apiKeyDigests?: readonly string[];
  /** Pages that browsers let read the replies; null = none. */
  readonly allowedOrigins?: readonly string[] | null;
  /** Generations at the same time; null = as many as the engine's queue takes. */
  readonly concurrency?: ConcurrencyLimit | null;
  /** Generations that are open in all frontends; this process's alone when absent. */
  readonly open?: OpenGenerations;
}

export interface Api {
  /** Never rejects: every failure is a reply. */
  handle(request: HttpRequest): Promise<HttpReply>;
  /** Bytes of a body that need to be kept; hand in null for longer ones. 0 for a request that is refused for its headers alone. */
  maxBodyBytes(head: Pick<HttpRequest, 'method' | 'path' | 'headers'>): number;
  /** For tests and descriptions: what is answered. */
  readonly routes: Routes;
}

/** What every request passes before its handler. */
interface Edge {
  readonly routes: Routes;
  readonly keys: ApiKeys;
  readonly allowedOrigins: readonly string[] | null;
  readonly gate: ConcurrencyGate | null;
}

export function createApi({ edge: given = {}, ...options }: ApiOptions): Api {
  const services: Services = { ...options, activeIds: new Set() };
  const openApi = openApiRoutes(() => routes, { version: options.version, needsKey: (given.apiKeyDigests ?? []).length > 0 });
  const routes: Routes = {
    '/v1/chat/completions': { POST: chatCompletions(services) },
    '/v1/completions': { POST: completions(services) },
    [MESSAGES_PATH]: { POST: messages(services) },
    [`${MESSAGES_PATH}/count_tokens`]: { POST: countTokens(services) },
    ...responseRoutes(services),
    [MODELS_PATH]: { GET: listModels(services) },
    [`${MODELS_PATH}/*`]: { GET: retrieveModel(services) },
    '/health': { GET: health(services) },
    '/live': { GET: live() },
    '/ready': { GET: ready(services) },
    '/ping': { GET: health(services), POST: health(services) },
    '/load': { GET: load(() => routes) },
    '/metrics': { GET: metricsText(services) },
    '/version': { GET: versionInfo(services) },
    [EMBEDDINGS_PATH]: { POST: embeddings(services) },
    [REWARD_PATH]: { POST: reward(services) },
    '/tokenize': { POST: tokenize(services) },
    '/v1/tokenize': { POST: tokenize(services) },
    '/detokenize': { POST: detokenize(services) },
    '/v1/detokenize': { POST: detokenize(services) },
    '/v1/abort_requests': { POST: abortRequests(services) },
    '/v1/pause': { POST: pause(services) },
    '/v1/resume': { POST: resume(services) },
    '/v1/is_paused': { GET: isPaused(services) },
    '/config-info': { GET: configInfo(services) },
    '/openapi.json': { GET: openApi.json },
    '/docs': { GET: openApi.page },
    '/': { GET: root(services, () => routes) },
  };
  const edge: Edge = {
    routes,
    keys: new ApiKeys(given.apiKeyDigests),
    allowedOrigins: given.allowedOrigins ?? null,
    gate: given.concurrency ? new ConcurrencyGate(given.concurrency, options.clock, given.open) : null,
  };
  return {
    handle: (request) => handle(services, edge, request),
    maxBodyBytes: (head) => (isAllowed(edge, head) ? options.limits.maxBodyBytes : 0),
    routes,
  };
}

function isAllowed({ keys, routes }: Edge, head: Pick<HttpRequest, 'method' | 'path' | 'headers'>): boolean {
  try {
    keys.check(head, findRoute(routes, head.path));
    return true;
  } catch {
    return false;
  }
}

async function handle(services: Services, edge: Edge, request: HttpRequest): Promise<HttpReply> {
  const context = new Context(services, request);
  const reply = await answer(services, edge, request, context);
  // Who left is told nothing; nginx's number for that keeps it out of the server's own failures.
  if (typeof reply.body === 'string') context.observe(request.signal.aborted ? CLIENT_CLOSED_REQUEST : reply.status);
  const isDraining = services.generator.readiness().state === 'draining';
  const requestId = headerSafe(context.requestId);
  const headers = {
    'x-request-id': requestId,
    ...(isMessagesPath(request.path) && { 'request-id': requestId }),
    ...corsHeaders(edge.allowedOrigins, request, reply),
    ...reply.headers,
    ...(isDraining && { connection: 'close' }),
  };
  return { ...reply, headers };
}

const CLIENT_CLOSED_REQUEST = 499;

async function answer(services: Services, { routes, keys, gate }: Edge, request: HttpRequest, context: Context): Promise<HttpReply> {
  try {
    const known = findRoute(routes, request.path);
    context.route = known ?? 'other';
    keys.check(request, known);
    const { handler, route } = match(routes, request.method, request.path);
    if (!isGeneration(route) || request.method !== 'POST') return await handler(request, context);
    services.metrics.countReceived();
    if (gate === null) return await handler(request, context);
    return await withPlace(gate, request, () => handler(request, context));
  } catch (error) {
    logFailure(services, request, context, error);
    const reply = isMessagesPath(request.path) ? messageErrorReply(error, context.requestId) : errorReply(error);
    return error instanceof MethodNotAllowedError ? { ...reply, headers: { ...reply.headers, allow: error.allow } } : reply;
  }
}

async function withPlace(gate: ConcurrencyGate, { signal }: HttpRequest, run: () => HttpReply | Promise<HttpReply>): Promise<HttpReply> {
  const release = await gate.enter(signal);
  try {
    return holdUntilEnd(await run(), release);
  } catch (error) {
    release();
    throw error;
  }
}

/** A refused generation is a fact of the day; anything unexpected is our bug. */
function logFailure({ logger }: Services, request: HttpRequest, { requestId, route, hasLogged }: Context, error: unknown): void {
  if (hasLogged) return;
  const facts = { requestId, route };
  if (request.signal.aborted) logger.info({ ...facts, finishReason: 'abort' }, 'request abandoned');
  else if (!(error instanceof TroupeError)) logger.error({ ...facts, err: error }, 'request failed unexpectedly');
  else {
    const refusal = { ...facts, status: statusOf(error), errorCode: error.code, param: error.param, reason: error.message };
    if (isGeneration(route)) logger.info(refusal, 'request refused');
    else logger.debug(refusal, 'request refused');
  }
}

const EMBEDDINGS_PATH = '/v1/embeddings';
const REWARD_PATH = '/v1/reward';
const GENERATIONS: ReadonlySet<string> = new Set([
  '/v1/chat/completions',
  '/v1/completions',
  RESPONSES_PATH,
  MESSAGES_PATH,
  EMBEDDINGS_PATH,
  REWARD_PATH,
]);

function isGeneration(route: string): boolean {
  return GENERATIONS.has(route);
}

/** Metric labels are a closed set, whatever a scanner sends. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'POST', 'HEAD', 'OPTIONS', 'PUT', 'PATCH', 'DELETE']);

class Context implements RequestContext {
  readonly arrivedAt: number;
  requestId: string;
  route = 'other';
  hasLogged = false;
  readonly #services: Services;
  readonly #method: string;
  readonly #isNamedByClient: boolean;

  constructor(services: Services, { method, headers }: HttpRequest) {
    const given = headers['x-request-id'];
    this.#services = services;
    this.#method = method;
    this.#isNamedByClient = given !== undefined && /^[\x21-\x7e]{1,256}$/.test(given);
    this.requestId = this.#isNamedByClient && given ? given : `req-${randomUUID()}`;
    this.arrivedAt = services.clock.monotonic();
  }

  nameAfter(id: string): void {
    if (!this.#isNamedByClient) this.requestId = id;
  }

  markLogged(): void {
    this.hasLogged = true;
  }

  observe(status: number): void {
    const seconds = (this.#services.clock.monotonic() - this.arrivedAt) / 1000;
    this.#services.metrics.observeHttp({ method: METHODS.has(this.#method) ? this.#method : 'other', route: this.route, status, seconds });
  }
}

/** An id may have a user's name in it; a header takes visible ASCII only. */
function headerSafe(id: string): string {
  return /^[\x21-\x7e]*$/.test(id) ? id : encodeURIComponent(Buffer.from(id).toString());
}
