/**
 * A frontend's view of where requests should go: what the engines' prefix caches hold, which engines keep failing, and the choice over
 * both (routing.ts).
 */
import type { Clock, RandomSource } from '../core/clock.ts';
import type { EngineBeat } from '../transport/messages.ts';
import type { Transport } from '../transport/transport.ts';
import { CircuitBreaker, type EngineVerdict } from './circuit-breaker.ts';
import type { Directory, EngineEntry, EngineRef } from './directory.ts';
import type { FrontendMetrics } from './frontend-metrics.ts';
import type { Journal } from './journal.ts';
import type { Log } from './log.ts';
import { PrefixIndex, PromptBlocks } from './prefix-index.ts';
import { PrefixSync } from './prefix-sync.ts';
import { chooseEngine } from './routing.ts';

export interface EngineChooserOptions {
  readonly directory: Directory;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly metrics: FrontendMetrics;
  readonly log: Log;
  readonly random?: RandomSource | undefined;
}

/** What is needed of a LiveRequest. */
export interface RoutedRequest {
  readonly slot: number;
  readonly journal: Journal;
  readonly fingerprint: string | null;
  /** Engines not to offer it to before a time (Clock.monotonic), by key. */
  readonly excludedUntil: Map<string, number>;
  /** Engines that it failed at, by key: chosen again only when there is no other, whatever they have cached. */
  readonly failedAt: ReadonlySet<string>;
}

export class EngineChooser {
  readonly #options: EngineChooserOptions;
  readonly #index = new PrefixIndex();
  readonly #sync: PrefixSync;
  /** By engine id. */
  readonly #breakers = new Map<string, CircuitBreaker>();

  constructor(options: EngineChooserOptions) {
    this.#options = options;
    const { transport, metrics } = options;
    this.#sync = new PrefixSync({ transport, index: this.#index, onRefused: (reason) => metrics.countRefused(reason) });
  }

  get index(): PrefixIndex {
    return this.#index;
  }

  /** The engine that is to get the request now; it is counted as given. Null: none may have it. */
  choose(request: RoutedRequest): EngineEntry | null {
    const { directory, clock, random } = this.#options;
    const now = clock.monotonic();
    if (directory.isSuspended) return null; // cut off: no engine could answer
    for (const [key, until] of request.excludedUntil) if (until <= now) request.excludedUntil.delete(key);
    const excluded = new Set(request.excludedUntil.keys());
    for (const { id, key } of directory.engines()) if (!(this.#breakers.get(id)?.isOpenTo(request.slot, now) ?? true)) excluded.add(key);
    const wish = {
      fingerprint: request.fingerprint,
      promptTokens: request.journal.header.promptIds.length,
      cachedBlocks: this.#cachedBlocksOf(request),
      now,
      random,
    };
    const engine =
      chooseEngine(directory.engines(), { ...wish, excluded: new Set([...excluded, ...request.failedAt]) }) ??
      chooseEngine(directory.engines(), { ...wish, excluded });
    if (!engine) return null;
    // Counted at once: a burst chooses many times before the first is sent.
    engine.numSentSinceBeat++;
    engine.numPromptTokensSentSinceBeat += wish.promptTokens;
    this.#breakers.get(engine.id)?.begin(request.slot);
    return engine;
  }

  heard(beat: EngineBeat): void {
    this.#sync.heard(beat);
  }

  lost(engine: EngineRef, hadWork: boolean): void {
    this.#sync.forget(engine.id);
    this.record(engine, hadWork ? 'crash' : 'cancelled', null);
  }

  /** The request is over; where it was the probe of a breaker, another one is. */
  ended(slot: number): void {
    const now = this.#options.clock.monotonic();
    for (const breaker of this.#breakers.values()) breaker.record('cancelled', slot, now);
  }

  /** How what was given to the engine went. */
  record(engine: EngineRef, verdict: EngineVerdict, request: number | null): void {
    const isFailure = verdict === 'crash' || verdict === 'unanswered';
    if (isFailure && this.#options.directory.isSuspended) return; // this process is cut off: nobody can say whose fault it was
    const breaker = this.#breakers.get(engine.id) ?? (isFailure ? this.#newBreaker(engine.id) : null);
    breaker?.record(verdict, request, this.#options.clock.monotonic());
  }

  close(): void {
    this.#sync.close();
  }

  #newBreaker(engineId: string): CircuitBreaker {
    const { log, metrics } = this.#options;
    const breaker = new CircuitBreaker({
      onChange: (state) => {
        metrics.setCircuit?.(engineId, state);
        if (state === 'open') log.warn({ engine: engineId }, 'engine keeps failing: it gets no requests for a while');
        else log.info({ engine: engineId, state }, state === 'closed' ? 'engine works again' : 'engine is tried with one request');
      },
    });
    this.#breakers.set(engineId, breaker);
    return breaker;
  }

  /** One chain of hashes for each numerics and block size among the engines: usually one. */
  #cachedBlocksOf({ journal }: RoutedRequest): (engine: EngineEntry) => number {
    if (this.#index.isEmpty) return () => 0;
    const { promptIds: tokenIds, cacheSalt } = journal.header;
    const prompts = new Map<string, PromptBlocks>();
    return ({ key, fingerprint, blockSize }) => {
      if (blockSize === null) return 0;
      const name = `${blockSize} ${fingerprint}`;
      const prompt = prompts.get(name) ?? new PromptBlocks({ tokenIds, blockSize, fingerprint, cacheSalt });
      prompts.set(name, prompt);
      return this.#index.numCached(key, prompt);
    };
  }
}
