/**
 * API keys. Only their SHA-256 digests get here: the processes that talk to clients cannot tell a key, in a log or otherwise.
 * A key opens everything; without one only what a load balancer, a scraper or a curious newcomer asks for is answered.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { TroupeError } from '../core/errors.ts';
import type { HttpRequest } from './http-message.ts';

/** Answered to everybody. Any other route needs a key, so that one which is added later is not open by oversight. */
export const OPEN_ROUTES: ReadonlySet<string> = new Set([
  '/',
  '/health',
  '/live',
  '/ready',
  '/ping',
  '/load',
  '/metrics',
  '/version',
  '/openapi.json',
  '/docs',
]);

/** @returns the key's SHA-256, in hexadecimal digits. */
export function digestOf(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

export class ApiKeys {
  readonly #digests: readonly Buffer[];

  /** @param digests of `digestOf`. None = everybody may do everything. */
  constructor(digests: readonly string[] = []) {
    this.#digests = digests.map((digest) => Buffer.from(digest, 'hex'));
  }

  /**
   * @param route the path in the route table, null when it has none: then only the API's own space needs a key, and a stray
   *   `/favicon.ico` stays a 404.
   * @throws TroupeError unauthorized. OPTIONS never needs a key: browsers send their preflight without one.
   */
  check({ method, path, headers }: Pick<HttpRequest, 'method' | 'path' | 'headers'>, route: string | null): void {
    if (this.#digests.length === 0 || method === 'OPTIONS') return;
    if (route === null ? !/^\/v\d/.test(path) : OPEN_ROUTES.has(route)) return;
    const given = [/^bearer +(.+)$/i.exec(headers.authorization ?? '')?.[1], headers['x-api-key']].filter((key) => key !== undefined);
    if (given.some((key) => this.#isKnown(key.trim()))) return;
    const problem = given.length === 0 ? 'this server needs an API key' : 'the API key is not one of this server';
    throw new TroupeError('unauthorized', `Unauthorized: ${problem}. Send it as "Authorization: Bearer KEY" or "x-api-key: KEY".`);
  }

  /** Every digest is compared to its end, so that the time tells nothing about the keys. */
  #isKnown(key: string): boolean {
    const digest = createHash('sha256').update(key).digest();
    let isKnown = false;
    for (const known of this.#digests) isKnown = timingSafeEqual(known, digest) || isKnown;
    return isKnown;
  }
}
