/**
 * Requests whose readers do not keep up. Their sequences stand still in their rows; one that stands for too long gives its row and blocks
 * back and is computed again when its reader goes on. A slow reader costs a place for a while, never memory.
 */
import type { Clock } from '../core/clock.ts';
import type { FrontendBeat } from '../transport/messages.ts';
import type { FrontendSession, RunningRequest } from './frontend-sessions.ts';
import type { ToRank } from './rank-port.ts';

/** Reading again within this costs nothing; after it, a prefill. */
const PARK_AFTER_MS = 2000;

export class HeldRequests {
  readonly #clock: Clock;
  readonly #post: (message: ToRank) => void;

  constructor(clock: Clock, post: (message: ToRank) => void) {
    this.#clock = clock;
    this.#post = post;
  }

  set(request: RunningRequest, isHeld: boolean): void {
    if (isHeld === (request.heldSince !== null)) return;
    request.heldSince = isHeld ? this.#clock.monotonic() : null;
    request.isParked = false;
    this.#post({ type: 'flow', key: request.key, flow: isHeld ? 'held' : 'running' });
  }

  /** A beat repeats which are held: what was lost is made good. Null: the frontend says nothing about it. */
  repeat(session: FrontendSession, held: readonly (readonly [slot: number, attempt: number])[] | null): void {
    if (!held) return;
    const keys = new Set(held.map(([slot, attempt]) => session.keyOf(slot, attempt)));
    for (const request of session.running.values()) this.set(request, keys.has(request.key));
  }

  /** To be called with every beat. */
  tick(sessions: Iterable<FrontendSession>): void {
    const now = this.#clock.monotonic();
    for (const session of sessions)
      for (const request of session.running.values()) {
        if (request.heldSince === null || request.isParked || now - request.heldSince < PARK_AFTER_MS) continue;
        request.isParked = true;
        this.#post({ type: 'flow', key: request.key, flow: 'parked' });
      }
  }
}

/** What a frontend's beat says to one start of an engine. */
export function heldAt(
  beat: FrontendBeat,
  engineId: string,
  epoch: readonly [number, number],
): readonly (readonly [number, number])[] | null {
  if (!beat.held) return null;
  const own = beat.held.find(
    ({ engineId: id, engineEpoch }) => id === engineId && engineEpoch[0] === epoch[0] && engineEpoch[1] === epoch[1],
  );
  return own?.requests ?? [];
}
