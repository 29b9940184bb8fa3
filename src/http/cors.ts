/**
 * Which web pages may read our replies in a browser. Credentials are never allowed: keys travel in headers, not in cookies, so a page
 * that the operator did not name can do nothing in a visitor's name.
 */
import type { HttpReply, HttpRequest } from './http-message.ts';

/** How long a browser may keep the answer to a preflight, seconds. */
const PREFLIGHT_LIFETIME_S = 600;
/** What pages may read beside the body. */
const EXPOSED = 'x-request-id, retry-after';

/**
 * The headers to add to a reply, errors and streams included.
 * @param origins `*`, or origins as browsers send them; null = no page may.
 */
export function corsHeaders(origins: readonly string[] | null, request: HttpRequest, reply: HttpReply): Record<string, string> {
  if (origins === null) return {};
  const isOpen = origins.includes('*');
  // Caches must not hand one page's reply to another.
  const vary = isOpen ? {} : { vary: 'Origin' };
  const { origin } = request.headers;
  if (origin === undefined || !(isOpen || origins.includes(origin))) return vary;
  const allowed = { ...vary, 'access-control-allow-origin': isOpen ? '*' : origin };
  const isPreflight = request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined;
  if (!isPreflight) return { ...allowed, 'access-control-expose-headers': EXPOSED };
  return {
    ...allowed,
    'access-control-allow-methods': reply.headers.allow ?? 'GET, POST, OPTIONS',
    // Named one by one: `*` would not cover Authorization.
    'access-control-allow-headers': request.headers['access-control-request-headers'] ?? 'authorization, content-type',
    'access-control-max-age': String(PREFLIGHT_LIFETIME_S),
  };
}
