/**
 * GET /live: this process answers. GET /health: the server serves, or keeps its running streams; what load scripts and FastDeploy's
 * clients wait for. GET /ready: send new requests here.
 */
import type { Readiness } from '../core/generation.ts';
import { type HttpReply, jsonReply } from './http-message.ts';
import type { Handler } from './routes.ts';
import type { Services } from './services.ts';

export function live(): Handler {
  return () => jsonReply(200, { status: 'live' });
}

export function health({ generator }: Services): Handler {
  return () => {
    const readiness = generator.readiness();
    return stateReply(readiness, readiness.state !== 'loading' && readiness.state !== 'failed');
  };
}

export function ready({ generator }: Services): Handler {
  return () => {
    const readiness = generator.readiness();
    return stateReply(readiness, readiness.state === 'ready');
  };
}

function stateReply(readiness: Readiness, isFine: boolean): HttpReply {
  const reason = 'reason' in readiness ? readiness.reason : readiness.state === 'loading' ? 'The model is loading.' : null;
  const headers = { 'cache-control': 'no-store', ...(!isFine && { 'retry-after': '1' }) };
  return jsonReply(isFine ? 200 : 503, { status: readiness.state, reason }, headers);
}
