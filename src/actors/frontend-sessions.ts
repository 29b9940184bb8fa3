/**
 * What an engine group knows about each frontend it works for: which requests run for it, which adds were answered, and the frames it
 * has not acknowledged. A session belongs to one frontend epoch; a newer epoch replaces it, an older one is refused.
 * A frontend that is gone keeps its (empty) session, so that frame numbers never start again within a pair of epochs.
 */
import { compareEpochs, type Epoch } from '../core/ids.ts';
import type { SequenceOutput } from '../engine/request.ts';
import type { Ack, EngineBeat, FrameEntry, Nack } from '../transport/messages.ts';
import { FrameRing } from './frame-ring.ts';

/** Answers kept for repeated adds of requests that are over. */
const MAX_ANSWERS = 4096;

export interface RunningRequest {
  /** The engine's key. */
  readonly key: string;
  readonly slot: number;
  readonly attempt: number;
  /** Choices whose finish has not been sent yet. */
  numUnfinished: number;
  /** Since when its reader does not keep up (held-requests.ts). */
  heldSince: number | null;
  /** It has been held for so long that its row was taken back. */
  isParked: boolean;
}

export class FrontendSession {
  readonly frontendId: string;
  readonly epoch: Epoch;
  readonly ring = new FrameRing();
  readonly running = new Map<string, RunningRequest>();
  /** Known from its first beat. */
  peerId: string | null = null;
  /** Its process ended or fell silent: nobody acknowledges, so frames are not waited for. */
  isGone = false;
  readonly #answers = new Map<string, Ack | Nack>();

  constructor(frontendId: string, epoch: Epoch) {
    this.frontendId = frontendId;
    this.epoch = epoch;
  }

  /** Unique over all frontends and their starts, since a slot is never used twice in a frontend epoch. */
  keyOf(slot: number, attempt: number): string {
    return `${this.frontendId}:${this.epoch[0]}-${this.epoch[1]}:${slot}:${attempt}`;
  }

  answerOf(key: string): Ack | Nack | undefined {
    return this.#answers.get(key);
  }

  /** Adds are idempotent: whoever asks again gets the same answer. */
  rememberAnswer(key: string, answer: Ack | Nack): void {
    this.#answers.set(key, answer);
    if (this.#answers.size <= MAX_ANSWERS) return;
    for (const oldest of this.#answers.keys()) {
      if (this.running.has(oldest)) continue;
      this.#answers.delete(oldest);
      return;
    }
  }
}

interface OpenedSession {
  readonly session: FrontendSession;
  readonly isNew: boolean;
  /** An earlier start of the same frontend. */
  readonly superseded: FrontendSession | null;
}

export class FrontendSessions {
  readonly #byFrontend = new Map<string, FrontendSession>();
  /** Engine key → whose request it is. */
  readonly #byKey = new Map<string, FrontendSession>();

  all(): Iterable<FrontendSession> {
    return this.#byFrontend.values();
  }

  get numRunning(): number {
    return this.#byKey.size;
  }

  /** The last frame of each frontend: goes into the engine's beats. */
  frameSeqs(): EngineBeat['frameSeqs'] {
    return [...this.#byFrontend.values()].map(({ frontendId, epoch: frontendEpoch, ring }) => ({
      frontendId,
      frontendEpoch,
      frameSeq: ring.nextSeq - 1,
    }));
  }

  /**
   * The session of this start of the frontend. `superseded` is the session of an earlier start, whose requests nobody waits for any more.
   * Null when the epoch is older than one already seen.
   */
  open(frontendId: string, epoch: Epoch): OpenedSession | null {
    const known = this.#byFrontend.get(frontendId);
    const age = known ? compareEpochs(epoch, known.epoch) : 1;
    if (known && age === 0) return { session: known, isNew: false, superseded: null };
    if (age < 0) return null;
    const session = new FrontendSession(frontendId, epoch);
    this.#byFrontend.set(frontendId, session);
    return { session, isNew: true, superseded: known ?? null };
  }

  /** The live session of exactly this start, if there is one. */
  find(frontendId: string, epoch: Epoch): FrontendSession | null {
    const known = this.#byFrontend.get(frontendId);
    return known && compareEpochs(known.epoch, epoch) === 0 ? known : null;
  }

  withPeer(peerId: string): FrontendSession[] {
    return [...this.#byFrontend.values()].filter((session) => session.peerId === peerId);
  }

  begin(session: FrontendSession, request: RunningRequest): void {
    session.running.set(request.key, request);
    this.#byKey.set(request.key, session);
  }

  end(session: FrontendSession, key: string): void {
    session.running.delete(key);
    this.#byKey.delete(key);
  }

  /** One step's outputs, as the entries of one frame per frontend. Requests whose last choice finished are over with it. */
  distribute(outputs: readonly SequenceOutput[]): Map<FrontendSession, FrameEntry[]> {
    const frames = new Map<FrontendSession, FrameEntry[]>();
    for (const output of outputs) {
      const session = this.#byKey.get(output.key);
      const request = session?.running.get(output.key);
      if (!session || !request) continue;
      const entries = frames.get(session);
      const entry = toEntry(request, output);
      if (entries) entries.push(entry);
      else frames.set(session, [entry]);
      if (output.finish !== null && --request.numUnfinished === 0) this.end(session, output.key);
    }
    return frames;
  }
}

function toEntry(request: RunningRequest, output: SequenceOutput): FrameEntry {
  const logprobs = output.logprobs?.map((entry) => [entry.logprob, entry.topIds, entry.topLogprobs] as const) ?? null;
  const { choice, firstIndex, ids, finish, cachedTokens, hidden, promptLogprobs: prompt } = output;
  const entry = [request.slot, request.attempt, choice, firstIndex, ids, finish, logprobs, cachedTokens] as const;
  if (!prompt) return hidden ? [...entry, hidden] : entry;
  return [...entry, hidden ?? null, [prompt.firstIndex, prompt.ranks, prompt.logprobs, prompt.topIds, prompt.topLogprobs]];
}
