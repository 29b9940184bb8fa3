/**
 * Which step frames to take: each engine epoch numbers its frames to us from 1 without gaps, and repeats the last number in its beats.
 * Frames are taken in order. A gap asks for a replay from the first missing frame, and what came after it is left for the replay to bring
 * again (go-back-N): loss is rare, order is what the journal needs.
 */
import type { Clock } from '../core/clock.ts';
import { compareEpochs, type Epoch } from '../core/ids.ts';

/** A replay that was asked for and brought nothing is asked for again after this. */
const ASK_AGAIN_MS = 100;

export interface FrameIntakeOptions {
  readonly clock: Clock;
  readonly askReplay: (engineId: string, epoch: Epoch, fromFrameSeq: number) => void;
  /** A gap stayed open too long (the engine no longer holds the frames): the engine's requests must continue from the journal. */
  readonly onUnrepairable: (engineId: string, epoch: Epoch) => void;
  /** 5 s. */
  readonly giveUpAfterMs?: number;
}

interface Line {
  readonly epoch: Epoch;
  /** All frames up to this one were taken. */
  taken: number;
  /** The highest number heard of. */
  known: number;
  askedAt: number;
  /** Since when `taken` has not moved although something is missing; null = nothing is missing. */
  stuckSince: number | null;
}

export class FrameIntake {
  readonly #options: FrameIntakeOptions;
  readonly #lines = new Map<string, Line>();

  constructor(options: FrameIntakeOptions) {
    this.#options = options;
  }

  /** What to do with a frame: only `take` gives its tokens to the requests, now. */
  accept(engineId: string, epoch: Epoch, frameSeq: number): 'take' | 'duplicate' | 'gap' | 'stale' {
    const line = this.#lineOf(engineId, epoch);
    if (!line) return 'stale';
    if (frameSeq <= line.taken) return 'duplicate';
    if (frameSeq === line.taken + 1) {
      line.taken = frameSeq;
      line.known = Math.max(line.known, frameSeq);
      line.stuckSince = line.taken === line.known ? null : this.#options.clock.monotonic();
      return 'take';
    }
    this.#missing(engineId, line, frameSeq);
    return 'gap';
  }

  /** A beat says how many frames there are. */
  noticed(engineId: string, epoch: Epoch, lastFrameSeq: number): void {
    const line = this.#lineOf(engineId, epoch);
    if (line && lastFrameSeq > line.taken) this.#missing(engineId, line, lastFrameSeq);
  }

  acks(): { readonly engineId: string; readonly engineEpoch: Epoch; readonly frameSeq: number }[] {
    return [...this.#lines].map(([engineId, line]) => ({ engineId, engineEpoch: line.epoch, frameSeq: line.taken }));
  }

  #lineOf(engineId: string, epoch: Epoch): Line | null {
    const line = this.#lines.get(engineId);
    const age = line ? compareEpochs(epoch, line.epoch) : 1;
    if (age < 0) return null;
    if (line && age === 0) return line;
    const fresh: Line = { epoch, taken: 0, known: 0, askedAt: Number.NEGATIVE_INFINITY, stuckSince: null };
    this.#lines.set(engineId, fresh);
    return fresh;
  }

  #missing(engineId: string, line: Line, known: number): void {
    const now = this.#options.clock.monotonic();
    line.known = Math.max(line.known, known);
    line.stuckSince ??= now;
    if (now - line.stuckSince > (this.#options.giveUpAfterMs ?? 5000)) {
      line.taken = line.known;
      line.stuckSince = null;
      this.#options.onUnrepairable(engineId, line.epoch);
      return;
    }
    if (now - line.askedAt < ASK_AGAIN_MS) return;
    line.askedAt = now;
    this.#options.askReplay(engineId, line.epoch, line.taken + 1);
  }
}
