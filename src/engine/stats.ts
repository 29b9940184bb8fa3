/** What the engine measures about itself. Times are monotonic milliseconds handed in; nothing here looks at a clock. */

/** Counters since the engine started. */
export class EngineCounters {
  prefixCacheQueryTokens = 0;
  prefixCacheHitTokens = 0;
  promptTokens = 0;
  generationTokens = 0;
}

/** Weight that a measurement has left after the next one. */
const DECAY = 0.9;
/** Before anything was measured: a slow machine's rate, so that the first refusals do not call clients back at once. */
const ASSUMED_TOKENS_PER_MS = 0.2;
const ASSUMED_RESIDENCE_MS = 1000;
/** The first step reads the weights from the disk. */
const ASSUMED_FIRST_STEP_MS = 6000;
const MIN_RETRY_MS = 50;
const MAX_RETRY_MS = 120_000;

/** Estimates when a refused request would be accepted, from decaying averages of what steps and sequences took. */
export class LoadMeter {
  #prefillTokens = 0;
  #prefillMs = 0;
  #residenceMs = 0;
  #numResidences = 0;
  #stepMs = 0;

  /** A step that prefilled: decode in the same step slows prefill down, and so it counts. */
  observePrefill(numTokens: number, durationMs: number): void {
    this.#prefillTokens = this.#prefillTokens * DECAY + numTokens;
    this.#prefillMs = this.#prefillMs * DECAY + durationMs;
  }

  /** A step without prefill. */
  observeDecode(durationMs: number): void {
    this.#stepMs = this.#stepMs === 0 ? durationMs : this.#stepMs * DECAY + durationMs * (1 - DECAY);
  }

  get prefillTokensPerMs(): number {
    return this.#prefillMs > 0 ? this.#prefillTokens / this.#prefillMs : ASSUMED_TOKENS_PER_MS;
  }

  /** How long a step with so many tokens to prefill should take. */
  expectedStepMs(numPrefillTokens: number): number {
    if (this.#stepMs === 0 && this.#prefillMs === 0) return ASSUMED_FIRST_STEP_MS;
    return this.#stepMs + numPrefillTokens / this.prefillTokensPerMs;
  }

  /** A sequence gave its row back, `durationMs` after it was first admitted. */
  observeResidence(durationMs: number): void {
    this.#residenceMs = this.#residenceMs * DECAY + durationMs;
    this.#numResidences = this.#numResidences * DECAY + 1;
  }

  /** Queued prefill tokens ÷ measured rate + the wait until one of the running sequences ends (0 when a row is free). */
  retryAfterMs(load: { readonly queuedPrefillTokens: number; readonly numRunning: number; readonly hasFreeRow: boolean }): number {
    const residenceMs = this.#numResidences > 0 ? this.#residenceMs / this.#numResidences : ASSUMED_RESIDENCE_MS;
    const slotMs = load.hasFreeRow ? 0 : residenceMs / Math.max(load.numRunning, 1);
    return Math.ceil(Math.min(Math.max(load.queuedPrefillTokens / this.prefillTokensPerMs + slotMs, MIN_RETRY_MS), MAX_RETRY_MS));
  }
}
