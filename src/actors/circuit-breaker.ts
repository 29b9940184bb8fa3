/**
 * Keeps requests away from an engine that keeps failing, whichever start of it. One breaker per engine; others never notice.
 *
 *   closed    requests may go to it                    5 failures within 10 s → open
 *   open      none may, for 2 s at first               time is up → half-open
 *   halfOpen  exactly one may: the probe               it gets a token → closed, it fails → open for twice as long
 *
 * Only what the engine or the way to it did counts: crashes with work in hand, and requests that nobody answered. What clients did, and an
 * engine that is full, say nothing against it.
 */

/** How something that was given to an engine went. */
export type EngineVerdict =
  /** It died, hung or fell silent with work in hand. */
  | 'crash'
  /** It is said to be alive, and did not answer for as long as one waits. */
  | 'unanswered'
  /** Its first token came. */
  | 'progress'
  /** nack: queue_full, draining, loading, stale. */
  | 'refused'
  /** 4xx: the request cannot be run anywhere. */
  | 'invalid'
  /** The client left, or an operator ended it. */
  | 'cancelled';

export type BreakerState = 'closed' | 'open' | 'halfOpen';

export interface CircuitBreakerOptions {
  /** 5 */
  readonly maxFailures?: number;
  /** 10 s */
  readonly windowMs?: number;
  /** The first time: 2 s. */
  readonly openMs?: number;
  /** 60 s */
  readonly maxOpenMs?: number;
  readonly onChange?: (state: BreakerState) => void;
}

/** Times are monotonic milliseconds handed in. */
export class CircuitBreaker {
  readonly #maxFailures: number;
  readonly #windowMs: number;
  readonly #firstOpenMs: number;
  readonly #maxOpenMs: number;
  readonly #onChange: (state: BreakerState) => void;
  #state: BreakerState = 'closed';
  /** When the last failures happened, oldest first. */
  #failures: number[] = [];
  #openMs: number;
  #opensAgainAt = 0;
  /** The request that half-open lets through; null = it is still to come. */
  #probe: number | null = null;

  constructor(options: CircuitBreakerOptions = {}) {
    this.#maxFailures = options.maxFailures ?? 5;
    this.#windowMs = options.windowMs ?? 10_000;
    this.#firstOpenMs = options.openMs ?? 2000;
    this.#maxOpenMs = options.maxOpenMs ?? 60_000;
    this.#onChange = options.onChange ?? (() => {});
    this.#openMs = this.#firstOpenMs;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** Whether this request may be given to it now. A probe that came back without a verdict is still the probe. */
  isOpenTo(request: number, now: number): boolean {
    if (this.#state === 'open' && now >= this.#opensAgainAt) this.#enter('halfOpen');
    return this.#state === 'closed' || (this.#state === 'halfOpen' && (this.#probe === null || this.#probe === request));
  }

  /** A request is given to it. */
  begin(request: number): void {
    if (this.#state === 'halfOpen') this.#probe ??= request;
  }

  /** @param request null = all that it had. */
  record(verdict: EngineVerdict, request: number | null, now: number): void {
    const isProbe = this.#probe !== null && (request === null || request === this.#probe);
    if (verdict === 'crash' || verdict === 'unanswered') this.#fail(isProbe, now);
    else if (isProbe && verdict === 'progress') this.#close();
    else if (isProbe) this.#probe = null; // it says nothing; the next request is the probe
  }

  #fail(isProbe: boolean, now: number): void {
    if (this.#state === 'open') return; // from before it opened
    if (this.#state === 'halfOpen') {
      if (!isProbe) return;
      this.#openMs = Math.min(this.#openMs * 2, this.#maxOpenMs);
      this.#open(now);
      return;
    }
    this.#failures = this.#failures.filter((at) => now - at < this.#windowMs);
    this.#failures.push(now);
    if (this.#failures.length >= this.#maxFailures) this.#open(now);
  }

  #open(now: number): void {
    this.#failures = [];
    this.#probe = null;
    this.#opensAgainAt = now + this.#openMs;
    this.#enter('open');
  }

  #close(): void {
    this.#probe = null;
    this.#openMs = this.#firstOpenMs;
    this.#enter('closed');
  }

  #enter(state: BreakerState): void {
    this.#state = state;
    this.#onChange(state);
  }
}
