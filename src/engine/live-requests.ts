/** The requests that the engine has accepted and not finished, and how many of them still wait for their first step. */
import { assert } from '../core/errors.ts';
import type { EngineRequest } from './request.ts';
import type { Sequence } from './sequence.ts';

interface LiveRequest {
  /** Choices that are not finished. */
  readonly sequences: Sequence[];
  hasStarted: boolean;
}

export class LiveRequests {
  readonly #byKey = new Map<string, LiveRequest>();
  #numQueued = 0;

  /** Requests of which no choice has been in a step yet. */
  get numQueued(): number {
    return this.#numQueued;
  }

  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  /** The unfinished choices of a request; none when it is unknown or over. A copy: they may be ended while it is read. */
  sequencesOf(key: string): Sequence[] {
    return this.#byKey.get(key)?.sequences.slice() ?? [];
  }

  add(request: EngineRequest, sequences: Sequence[]): void {
    if (sequences.length === 0) return;
    this.#byKey.set(request.key, { sequences, hasStarted: false });
    this.#numQueued++;
  }

  /** A choice is in a step for the first time. @returns whether it is the first of its request. */
  start(sequence: Sequence): boolean {
    const live = this.#liveOf(sequence);
    if (live.hasStarted) return false;
    live.hasStarted = true;
    this.#numQueued--;
    return true;
  }

  /** A choice is over; its request ends with its last choice. */
  remove(sequence: Sequence): void {
    const live = this.#liveOf(sequence);
    live.sequences.splice(live.sequences.indexOf(sequence), 1);
    if (live.sequences.length > 0) return;
    this.#byKey.delete(sequence.request.key);
    if (!live.hasStarted) this.#numQueued--;
  }

  /** @throws Error with the numbers that disagree. */
  assertIntegrity(numSequences: number): void {
    let numLive = 0;
    let numQueued = 0;
    for (const live of this.#byKey.values()) {
      numLive += live.sequences.length;
      if (!live.hasStarted) numQueued++;
    }
    assert(numLive === numSequences, `${numLive} choices are not finished, but ${numSequences} sequences run or wait`);
    assert(numQueued === this.#numQueued, `${numQueued} requests have not started, the account says ${this.#numQueued}`);
  }

  #liveOf(sequence: Sequence): LiveRequest {
    const live = this.#byKey.get(sequence.request.key);
    assert(live, `request ${sequence.request.key} is not live`);
    return live;
  }
}
