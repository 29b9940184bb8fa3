/** GET /metrics */
import { textReply } from './http-message.ts';
import type { Handler } from './routes.ts';
import type { Services } from './services.ts';

/** One answer for the whole server, whichever frontend is asked. */
export function metricsText({ metrics, operations }: Services): Handler {
  return async () => {
    const others = await operations.peerMetrics();
    return textReply(200, await metrics.text(others), metrics.contentType);
  };
}
