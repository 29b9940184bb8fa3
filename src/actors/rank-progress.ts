/** Whether a rank owes something: the group's main thread sees it from outside, also while the rank's thread is stuck. */
import type { RankPort, ToRank, Turn } from './rank-port.ts';

export class RankProgress {
  readonly #port: RankPort;
  #numPosted = 0;
  #numTaken = 0;
  #hasWork = false;
  /** Turns that it has ended. */
  numTurns = 0;

  constructor(port: RankPort) {
    this.#port = port;
  }

  /** It computes, or has not taken all its messages. */
  get isBusy(): boolean {
    return this.#hasWork || this.#numTaken < this.#numPosted;
  }

  post(message: ToRank): void {
    this.#numPosted++;
    this.#port.post(message);
  }

  note(turn: Turn): void {
    this.numTurns++;
    this.#hasWork = turn.hasWork ?? false;
    this.#numTaken = turn.numTaken ?? this.#numPosted;
  }
}
