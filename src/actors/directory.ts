/**
 * Who is alive: every engine group this frontend has heard of, by its latest epoch. An engine is lost when its process is gone, when a
 * later epoch of it appears, when it says that it failed, or when it is silent too long; each loss is told exactly once.
 */

import type { Clock } from '../core/clock.ts';
import type { EngineLoad } from '../core/engine-load.ts';
import { compareEpochs, type Epoch } from '../core/ids.ts';
import type { Credit, EngineBeat, EngineState, FrontendBeat, TrialMark } from '../transport/messages.ts';
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
  /** Whom to blame should it die. */
  readonly trial: TrialMark | null;
  /** Requests this frontend gave it since its last beat. */
  numSentSinceBeat: number;
  /** Their prompts' tokens. */
  numPromptTokensSentSinceBeat: number;
  readonly credit: Credit | null;
  /** Monotonic milliseconds. */
  readonly heardAt: number;
}

/**
 * `gone`: its process ended. `restarted`: a later epoch appeared. `failed`, `drained`: it said so. `silent`: no beats; it may live.
 * `stuck`: it beats, but has work and takes no step.
 */
export type LossCause = 'gone' | 'restarted' | 'failed' | 'drained' | 'silent' | 'stuck';

/** An engine with work takes a step within this, or within ten times what a step should take. */
const STUCK_MS = 3000;
const STUCK_STEPS = 10;
/** Fences that are told to engines; older ones are only kept here. */
const MAX_FENCES_TOLD = 64;

export interface DirectoryOptions {
  readonly clock: Clock;
  readonly beatMs: number;
  /** An engine that is silent this long is lost. */
  readonly silenceMs: number;
  readonly onLost: (engine: EngineEntry, reason: string, cause: LossCause) => void;
  /** An engine came, went or changed its state; told after `onLost`. */
  readonly onChanged?: (now: { readonly isServing: boolean; readonly lastLoss: string | null }) => void;
}

export const engineKey = (id: string, epoch: Epoch): string => `${id}.${epoch[0]}-${epoch[1]}`;

export class Directory {
  readonly #options: DirectoryOptions;
  readonly #watch: BeatWatch;
  /** Who has work and takes no step. */
  readonly #progress: BeatWatch;
  readonly #engines = new Map<string, EngineEntry>();
  readonly #stepIds = new Map<string, number>();
  /** Engine id → the last epoch that was given up while it may have lived. */
  readonly #fenced = new Map<string, Epoch>();
  readonly #latestEpochs = new Map<string, Epoch>();
  readonly #waiters = new Set<() => void>();
  #hasServed = false;
  #isSuspended = false;
  #lastLoss: string | null = null;

  constructor(options: DirectoryOptions) {
    this.#options = options;
    this.#watch = new BeatWatch({ clock: options.clock, silenceMs: options.silenceMs, tickMs: options.beatMs });
    this.#progress = new BeatWatch({ clock: options.clock, silenceMs: STUCK_MS, tickMs: options.beatMs });
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

  /** For this frontend's beats. */
  get fenced(): FrontendBeat['fenced'] {
    return [...this.#fenced].slice(-MAX_FENCES_TOLD).map(([engineId, engineEpoch]) => ({ engineId, engineEpoch }));
  }

  /** Whether what this start of an engine says is not to be taken: a later one is known, or it was given up. */
  isStale(id: string, epoch: Epoch): boolean {
    const latest = this.#latestEpochs.get(id);
    const fence = this.#fenced.get(id);
    return (latest !== undefined && compareEpochs(epoch, latest) < 0) || (fence !== undefined && compareEpochs(epoch, fence) <= 0);
  }

  /** Takes a beat. False when it comes from an earlier epoch than one already seen, or from one that was given up. */
  heard(beat: EngineBeat): boolean {
    const { engineId: id, engineEpoch: epoch } = beat;
    if (this.isStale(id, epoch)) return false;
    this.#fenced.delete(id);
    this.#latestEpochs.set(id, epoch);
    const before = this.#engines.get(id);
    if (before && compareEpochs(before.epoch, epoch) < 0) this.#lose(before, `engine ${id} started again`, 'restarted');
    if (beat.state === 'failed' || beat.state === 'drained') {
      const entry = this.#engines.get(id);
      if (entry) this.#lose(entry, beat.reason ?? `engine ${id} is ${beat.state}`, beat.state);
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
      trial: beat.trial ?? null,
      numSentSinceBeat: 0,
      numPromptTokensSentSinceBeat: 0,
      credit: beat.credit ?? null,
      heardAt: this.#options.clock.monotonic(),
    });
    this.#watch.heard(id);
    this.#noteProgress(beat);
    this.#hasServed ||= state === 'serving';
    if (before?.state !== state || compareEpochs(before.epoch, epoch) !== 0) this.#changed();
    return true;
  }

  peerGone(peerId: string): void {
    for (const engine of [...this.#engines.values()])
      if (engine.peerId === peerId) this.#giveUp(engine.id, `the process of engine ${engine.id} is gone`, 'gone');
  }

  /** To be called every `beatMs`. */
  tick(): void {
    for (const id of this.#watch.tick()) this.#giveUp(id, `engine ${id} has been silent for ${this.#options.silenceMs} ms`, 'silent');
    for (const id of this.#progress.tick()) this.#giveUp(id, `engine ${id} has work and takes no step`, 'stuck');
  }

  /** This process is cut off: silence says nothing about the others. */
  suspend(): void {
    this.#isSuspended = true;
    this.#watch.suspend();
    this.#progress.suspend();
  }

  resume(): void {
    this.#isSuspended = false;
    this.#watch.resume();
    this.#progress.resume();
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

  #noteProgress({ engineId: id, stepId, isBusy = false, load: { stepMs = 0 } }: EngineBeat): void {
    if (isBusy && this.#stepIds.get(id) === stepId) return;
    this.#stepIds.set(id, stepId);
    this.#progress.heard(id, Math.max(STUCK_MS, STUCK_STEPS * stepMs));
  }

  /** This start of it is heard no more: beats that were on their way would bring a dead one back, and one that lives comes back anew. */
  #giveUp(id: string, reason: string, cause: LossCause): void {
    const engine = this.#engines.get(id);
    if (!engine) return;
    this.#fenced.delete(id); // to the end of the order
    this.#fenced.set(id, engine.epoch);
    this.#lose(engine, reason, cause);
  }

  #lose(engine: EngineEntry, reason: string, cause: LossCause): void {
    this.#engines.delete(engine.id);
    this.#watch.forget(engine.id);
    this.#progress.forget(engine.id);
    this.#stepIds.delete(engine.id);
    this.#lastLoss = reason;
    this.#options.onLost(engine, reason, cause);
    this.#changed();
  }

  #changed(): void {
    this.#options.onChanged?.(this);
    this.wake();
  }
}
