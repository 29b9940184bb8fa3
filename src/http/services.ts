/** What every endpoint works with, handed in once by frontend-process.ts. */
import type { Clock } from '../core/clock.ts';
import { TroupeError } from '../core/errors.ts';
import type { TextGenerator } from '../core/generation.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export interface Services {
  readonly generator: TextGenerator;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly limits: { readonly maxBodyBytes: number };
  /** `enableLogprob`: whether log-probabilities are answered (`--enable-logprob`). */
  readonly features: { readonly enableLogprob: boolean };
  readonly version: string;
  /** Ids of the generations that run now: a client may choose its own, but not one twice at a time. */
  readonly activeIds: Set<string>;
}

/** @throws TroupeError when no generation can start now. While an engine recovers, requests wait for it instead. */
export function requireServing(generator: TextGenerator): void {
  const readiness = generator.readiness();
  switch (readiness.state) {
    case 'ready':
    case 'recovering':
      return;
    case 'loading':
      throw new TroupeError('model_loading', 'The model is still loading: try again in a few seconds. GET /ready says when it is there.');
    case 'draining':
      throw new TroupeError('server_draining', `The server takes no new requests: ${readiness.reason}`);
    case 'failed':
      throw new TroupeError('no_engine', `The server cannot serve: ${readiness.reason}`);
    default:
      readiness satisfies never;
  }
}
