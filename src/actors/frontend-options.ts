import type { Clock, RandomSource } from '../core/clock.ts';
import type { ModelCard } from '../core/generation.ts';
import type { Epoch } from '../core/ids.ts';
import type { OpenGenerations } from '../core/open-generations.ts';
import type { Transport } from '../transport/transport.ts';
import type { FrontendMetrics } from './frontend-metrics.ts';
import type { Log } from './log.ts';
import type { ModelText } from './prepare-request.ts';

export interface FrontendOptions {
  readonly frontendId: string;
  /** This start of it: frames for an earlier one are not for us. */
  readonly epoch: Epoch;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics?: FrontendMetrics;
  /** What the HTTP edge answers now, for --max-concurrency. */
  readonly open?: OpenGenerations;
  readonly model: ModelCard;
  readonly text: ModelText;
  /** A fresh 63-bit seed for requests that bring none. */
  readonly newSeed: () => bigint;
  /** 250 ms. */
  readonly beatMs?: number;
  /** Silence after which an engine is lost: 2 s. */
  readonly engineSilenceMs?: number;
  /** How long a request waits while no engine serves: 30 s. */
  readonly engineWaitMs?: number;
  /** Requests that may wait for an engine at the same time: 1024. */
  readonly maxNumWaiting?: number;
  /** Deadline of requests that name none, from their arrival; none unless given. */
  readonly requestTimeoutMs?: number | undefined;
  /** Tokens that wait for a reader before its request stands still: 512. */
  readonly maxUnreadTokens?: number;
  /** Breaks ties between engines; absent = the smaller id gets the request. */
  readonly random?: RandomSource;
  /** Whether this one tells the engines' throughput: true. Of several frontends on one machine, one does. */
  readonly logsThroughput?: boolean;
}
