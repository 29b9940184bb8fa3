/** Plain numbers that a frontend hands out; telemetry/metrics.ts records them. */
import type { FinishReason } from '../core/generation.ts';
import type { EngineBeat } from '../transport/messages.ts';

/** One request, told once when it is over. Durations in milliseconds. */
export interface RequestObservation {
  readonly requestId: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
  readonly reasoningTokens: number;
  /** From its arrival until an engine accepted it; null = none did. */
  readonly queueMs: number | null;
  /** From its arrival to its first token; null = there was none. */
  readonly ttftMs: number | null;
  /** Mean time between tokens after the first; null with fewer than two. */
  readonly tpotMs: number | null;
  readonly e2eMs: number;
  /** Of the first choice; `error` when it failed. */
  readonly finishReason: FinishReason;
  /** Engines it was given to; above 1 it was continued. */
  readonly numAttempts: number;
}

export interface FrontendMetrics {
  observeRequest(observation: RequestObservation): void;
  setEngineLoad(engineId: string, load: EngineBeat['load'], counters: EngineBeat['counters']): void;
  removeEngine(engineId: string): void;
  /** Messages refused because they came from an earlier start, or could not be read. */
  countRefused(reason: 'stale_epoch' | 'unreadable'): void;
  countReplay(): void;
}

export const noMetrics: FrontendMetrics = {
  observeRequest: () => {},
  setEngineLoad: () => {},
  removeEngine: () => {},
  countRefused: () => {},
  countReplay: () => {},
};
