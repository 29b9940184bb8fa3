/** Everything that happens in a run, as one number: two runs are the same when their hashes are. Optionally as lines, too. */
import type { VirtualClock } from '../support/virtual-clock.ts';

export class EventLog {
  readonly #clock: VirtualClock;
  readonly #startedAt: number;
  readonly #onLine: ((line: string) => void) | null;
  #hash = 0xcbf29ce484222325n;
  #low = 0;
  numEvents = 0;

  constructor(clock: VirtualClock, onLine: ((line: string) => void) | null) {
    this.#clock = clock;
    this.#startedAt = clock.monotonic();
    this.#onLine = onLine;
  }

  /** Milliseconds since the run began. */
  get atMs(): number {
    return this.#clock.monotonic() - this.#startedAt;
  }

  get hash(): string {
    return `${BigInt.asUintN(64, this.#hash).toString(16)}${(this.#low >>> 0).toString(16).padStart(8, '0')}`;
  }

  /** Something that a reader of the log wants to see. */
  note(what: string): void {
    this.count(what);
    this.#onLine?.(`${this.atMs.toFixed(1).padStart(9)} ${what}`);
  }

  /** Something that happens too often to be read, such as one message. */
  count(what: string): void {
    this.numEvents++;
    // Two 32-bit FNV-1a chains: cheap enough for every message.
    let a = Number(this.#hash & 0xffffffffn) | 0;
    let b = this.#low;
    const text = `${this.atMs} ${what}`;
    for (let i = 0; i < text.length; i++) {
      a = Math.imul(a ^ text.charCodeAt(i), 0x01000193);
      b = Math.imul(b ^ text.charCodeAt(i), 0x85ebca6b) + i;
    }
    this.#hash = BigInt(a >>> 0);
    this.#low = b;
  }
}
