/** What every endpoint works with, handed in once by frontend-process.ts. */
import type { Clock } from '../core/clock.ts';
import { TroupeError } from '../core/errors.ts';
import type { TextGenerator } from '../core/generation.ts';
import type { Operations } from '../core/operations.ts';
import type { Pooler } from '../core/pooling.ts';
import type { TextTools } from '../core/text-tools.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export interface Services {
  readonly generator: TextGenerator;
  readonly textTools: TextTools;
  readonly pooler: Pooler;
  readonly operations: Operations;
  /** The checkpoint's reward head: a hidden state's scores. Null = it has none. */
  readonly scoreOf?: ((hidden: Float32Array) => Float32Array) | null;
  /** The effective configuration and the model's facts, for GET /config-info; no secrets. */
  readonly serverFacts: Readonly<Record<string, unknown>>;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly limits: { readonly maxBodyBytes: number };
  readonly features: Features;
  readonly version: string;
  /** How clients reach the server; http unless told otherwise. */
  readonly scheme?: 'http' | 'https';
  /** Ids of the generations that run now: a client may choose its own, but not one twice at a time. */
  readonly activeIds: Set<string>;
}

/** What the operator allows clients to ask for. */
export interface Features {
  /** Whether log-probabilities are answered (`--enable-logprob`). */
  readonly enableLogprob: boolean;
  /** Alternatives per token at most (`--max-logprobs`); -1 = no limit, the whole vocabulary included. */
  readonly maxLogprobs: number;
  /** Whether the output can be made to match a schema or grammar (`--guided-decoding-backend`). */
  readonly guidedDecoding: boolean;
  /** What the server is for (`--runner`): `auto` = generations and embeddings. */
  readonly runner?: Runner;
}

export type Runner = 'auto' | 'generate' | 'pooling';

/** @throws TroupeError invalid_request where the server was started for something else. */
export function requireGeneration({ features }: Services): void {
  if (features.runner !== 'pooling') return;
  throw new TroupeError('invalid_request', 'This server computes embeddings only (--runner pooling): use /v1/embeddings.');
}

/** @throws TroupeError invalid_request where the server was started for something else. */
export function requirePooling({ features }: Services): void {
  if (features.runner !== 'generate') return;
  throw new TroupeError(
    'invalid_request',
    'This server generates text only (--runner generate): start it with --runner auto or --runner pooling.',
  );
}

/** @throws TroupeError when no generation can start now. While an engine recovers, requests wait for it instead. */
export function requireServing(generator: TextGenerator): void {
  const readiness = generator.readiness();
  switch (readiness.state) {
    case 'ready':
    case 'recovering':
    case 'paused':
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
