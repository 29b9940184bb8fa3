/** When what happened to a request, in milliseconds of Clock.monotonic: its latencies are made of it. */
import type { RequestObservation } from './frontend-metrics.ts';

export class RequestTimeline {
  readonly #arrivedAt: number;
  #acceptedAt: number | null = null;
  #firstTokenAt: number | null = null;
  #lastTokenAt: number | null = null;

  constructor(arrivedAt: number) {
    this.#arrivedAt = arrivedAt;
  }

  /** An engine accepted it; later ones that it continues in do not count. */
  noteAccepted(now: number): void {
    this.#acceptedAt ??= now;
  }

  noteTokens(now: number): void {
    this.#firstTokenAt ??= now;
    this.#lastTokenAt = now;
  }

  /** @param numTokens of its output. */
  measure(numTokens: number, now: number): Pick<RequestObservation, 'queueMs' | 'ttftMs' | 'tpotMs' | 'e2eMs'> {
    const decodeMs = (this.#lastTokenAt ?? 0) - (this.#firstTokenAt ?? 0);
    return {
      queueMs: this.#sinceArrival(this.#acceptedAt),
      ttftMs: this.#sinceArrival(this.#firstTokenAt),
      tpotMs: numTokens > 1 ? decodeMs / (numTokens - 1) : null,
      e2eMs: now - this.#arrivedAt,
    };
  }

  #sinceArrival(at: number | null): number | null {
    return at === null ? null : at - this.#arrivedAt;
  }
}
