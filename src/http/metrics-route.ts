/** GET /metrics */
import { textReply } from './http-message.ts';
import type { Handler } from './routes.ts';
import type { Services } from './services.ts';

export function metricsText({ metrics }: Services): Handler {
  return async () => textReply(200, await metrics.text(), metrics.contentType);
}
