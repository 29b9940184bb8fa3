/** Plain numbers that a frontend hands out; telemetry/metrics.ts records them. */
import type { Metrics, RequestObservation as RequestTimes } from '../telemetry/metrics.ts';
import type { BreakerState } from './circuit-breaker.ts';

/** One request, told once when it is over. */
export interface RequestObservation extends RequestTimes {
  readonly requestId: string;
  readonly cachedTokens: number;
  readonly reasoningTokens: number;
}

export interface FrontendMetrics extends Pick<Metrics, 'setEngineLoad' | 'removeEngine' | 'countRefused' | 'countReplay'> {
  observeRequest(observation: RequestObservation): void;
  setPaused?(isPaused: boolean): void;
  setCircuit?(engineId: string, state: BreakerState): void;
  snapshot?(): Promise<string>;
}

export const noMetrics: FrontendMetrics = {
  observeRequest: () => {},
  setEngineLoad: () => {},
  removeEngine: () => {},
  countRefused: () => {},
  countReplay: () => {},
};
