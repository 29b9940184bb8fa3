/**
 * Who is alive: every engine group this frontend has heard of, by its latest epoch. An engine is lost when its process is gone, when a
 * later epoch of it appears, when it says that it failed, or when it is silent too long; each loss is told exactly once.
 */

import type { Clock } from '../core/clock.ts';
import type { EngineLoad } from '../core/engine-load.ts';
import { compareEpochs, type Epoch } from '../core/ids.ts';
import type { Credit, EngineBeat, EngineState } from '../transport/messages.ts';
import { BeatWatch } from './beat-watch.ts';

export interface EngineRef {
  readonly id: string;
  readonly epoch: Epoch;
  /** Id and epoch as one string. */
  readonly key: string;
}

export interface EngineEntry extends EngineRef {
  readonly peerId: string;
  readonly state: EngineState;
  readonly fingerprint: string;
  readonly reason: string | null;
  readonly load: EngineLoad;
  readonly counters: EngineBeat['counters'];
  /** Tokens of its KV blocks; null = it shares no prefixes. */
  readonly blockSize: number | null;
  /** Of the last pause that has taken effect in it. */
  readonly pauseRevision: number;
  /** Requests this frontend gave it since its last beat. */
  numSentSinceBeat: number;
  /** Their prompts' tokens. */
  numPromptTokensSentSinceBeat: number;
  readonly credit: Credit | null;
  /** Monotonic milliseconds. */
  readonly heardAt: number;
}

export interface DirectoryOptions {
  readonly clock: Clock;
  readonly beatMs: number;
  /** An engine that is silent this long is lost. */
  readonly silenceMs: number;
  readonly onLost: (engine: EngineEntry, reason: string) => void;
  /** An engine came, went or changed its state; told after `onLost`. */
  readonly onChanged?: (now: { readonly isServing: boolean; readonly lastLoss: string | null }) => void;
}

export const engineKey = (id: string, epoch: Epoch): string => `${id}.${epoch[0]}-${epoch[1]}`;

export class Directory {
  readonly #options: DirectoryOptions;
  readonly #watch: BeatWatch;
  readonly #engines = new Map<string, EngineEntry>();
  readonly #latestEpochs = new Map<string, Epoch>();
  readonly #waiters = new Set<() => void>();
  #hasServed = false;
  #isSuspended = false;
  #lastLoss: string | null = null;

  constructor(options: DirectoryOptions) {
    this.#options = options;
    this.#watch = new BeatWatch({ clock: options.clock, silenceMs: options.silenceMs, tickMs: options.beatMs });
  }

  /** This process is cut off: what it hears of engines, and what it does not, says nothing about them. */
  get isSuspended(): boolean {
    return this.#isSuspended;
  }

  /** Whether any engine has ever served: before that, waiting is pointless. */
  get hasServed(): boolean {
    return this.#hasServed;
  }

  get isServing(): boolean {
    return [...this.#engines.values()].some((engine) => engine.state === 'serving');
  }

  /** An engine is on its way, so that waiting is worth while. */
  get isLoading(): boolean {
    return [...this.#engines.values()].some((engine) => engine.state === 'starting' || engine.state === 'loading');
  }

  /** Why the last engine that was lost is gone, or what a failed one says. */
  get lastLoss(): string | null {
    return this.#lastLoss;
  }

  engines(): Iterable<EngineEntry> {
    return this.#engines.values();
  }

  find(key: string): EngineEntry | null {
    for (const engine of this.#engines.values()) if (engine.key === key) return engine;
    return null;
  }

  /** Takes a beat. False when it comes from an earlier epoch than one already seen. */
  heard(beat: EngineBeat): boolean {
    const { engineId: id, engineEpoch: epoch } = beat;
    const latest = this.#latestEpochs.get(id);
    if (latest && compareEpochs(epoch, latest) < 0) return false;
    this.#latestEpochs.set(id, epoch);
    const before = this.#engines.get(id);
    if (before && compareEpochs(before.epoch, epoch) < 0) this.#lose(before, `engine ${id} started again`);
    if (beat.state === 'failed' || beat.state === 'drained') {
      const entry = this.#engines.get(id);
      if (entry) this.#lose(entry, beat.reason ?? `engine ${id} is ${beat.state}`);
      return true;
    }
    const { peerId, state, fingerprint, reason, load, counters } = beat;
    this.#engines.set(id, {
      id,
      epoch,
      key: engineKey(id, epoch),
      peerId,
      state,
      fingerprint,
      reason,
      load,
      counters,
      blockSize: beat.blockSize ?? null,
      pauseRevision: beat.pauseRevision ?? 0,
      numSentSinceBeat: 0,
      numPromptTokensSentSinceBeat: 0,
      credit: beat.credit ?? null,
      heardAt: this.#options.clock.monotonic(),
    });
    this.#watch.heard(id);
    this.#hasServed ||= state === 'serving';
    if (before?.state !== state || compareEpochs(before.epoch, epoch) !== 0) this.#changed();
    return true;
  }

  peerGone(peerId: string): void {
    for (const engine of [...this.#engines.values()])
      if (engine.peerId === peerId) this.#lose(engine, `the process of engine ${engine.id} is gone`);
  }

  /** To be called every `beatMs`. */
  tick(): void {
    for (const id of this.#watch.tick()) {
      const engine = this.#engines.get(id);
      if (engine) this.#lose(engine, `engine ${id} has been silent for ${this.#options.silenceMs} ms`);
    }
  }

  /** This process is cut off: silence says nothing about the others. */
  suspend(): void {
    this.#isSuspended = true;
    this.#watch.suspend();
  }

  resume(): void {
    this.#isSuspended = false;
    this.#watch.resume();
    this.wake();
  }

  /** Resolves when an engine came, went or changed state, after `timeoutMs`, or when `signal` aborts: look again. */
  changed(timeoutMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiters.delete(wake);
        this.#options.clock.clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const timer = this.#options.clock.setTimeout(wake, timeoutMs);
      this.#waiters.add(wake);
      signal.addEventListener('abort', wake, { once: true });
      if (signal.aborted) wake();
    });
  }

  /** Something else changed that a waiting request may have waited for. */
  wake(): void {
    for (const wake of [...this.#waiters]) wake();
  }

  #lose(engine: EngineEntry, reason: string): void {
    this.#engines.delete(engine.id);
    this.#watch.forget(engine.id);
    this.#lastLoss = reason;
    this.#options.onLost(engine, reason);
    this.#changed();
  }

  #changed(): void {
    this.#options.onChanged?.(this);
    this.wake();
  }
}
