/** Which endpoint answers which path. Unknown path: 404. Known path, other method: 405 with Allow. HEAD is GET without the body. */
import { TroupeError } from '../core/errors.ts';
import { MethodNotAllowedError } from './error-reply.ts';
import type { HttpReply, HttpRequest } from './http-message.ts';

/** What a handler knows about the request beside its content. */
export interface RequestContext {
  /** Told to the client in `x-request-id` and to the log. */
  readonly requestId: string;
  /** The path as logs and metrics name it. */
  readonly route: string;
  /** Milliseconds of the monotonic clock at which the request was complete. */
  readonly arrivedAt: number;
  /** Uses the generation's id for the whole request, unless the client sent an `x-request-id`. */
  nameAfter(id: string): void;
  /** The request has its log line. */
  markLogged(): void;
  /** Counts the finished reply. For streams the handler says when; for whole replies it is done for it. */
  observe(status: number): void;
}

export type Handler = (request: HttpRequest, context: RequestContext) => HttpReply | Promise<HttpReply>;
export type Method = 'GET' | 'POST' | 'DELETE';
/** Path → method → handler. A path that ends in `/*` takes whatever follows. */
export type Routes = Readonly<Record<string, Readonly<Partial<Record<Method, Handler>>>>>;

export interface Match {
  readonly handler: Handler;
  /** The path as metrics label it: only paths of the table, so that a scanner cannot grow the label set. */
  readonly route: string;
}

/** @throws TroupeError not_found, method_not_allowed. */
export function match(routes: Routes, method: string, path: string): Match {
  const route = findRoute(routes, path);
  const methods = route === null ? undefined : routes[route];
  if (route === null || !methods)
    throw new TroupeError('not_found', `Unknown path: ${method} ${path}. GET / lists what this server answers.`);
  if (method === 'OPTIONS') return { handler: () => options(methods), route };
  const handler = methods[method === 'HEAD' ? 'GET' : (method as Method)];
  if (!handler) throw new MethodNotAllowedError(method, path, allowed(methods));
  return { handler, route };
}

/** The path of the table that answers this one; null = none. */
export function findRoute(routes: Routes, path: string): string | null {
  const exact = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
  if (Object.hasOwn(routes, exact)) return exact;
  return Object.keys(routes).find((route) => route.endsWith('/*') && exact.startsWith(route.slice(0, -1))) ?? null;
}

function options(methods: Routes[string]): HttpReply {
  return { status: 204, headers: { allow: allowed(methods).join(', ') }, body: '' };
}

function allowed(methods: Routes[string]): string[] {
  const names = Object.keys(methods);
  return [...names, ...(names.includes('GET') ? ['HEAD'] : []), 'OPTIONS'];
}
