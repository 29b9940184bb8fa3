/** Requests that the rank has been given and has not answered yet. Whoever repeats the question waits for the same answer. */
import { encode } from '../transport/codec.ts';
import type { Ack, Nack } from '../transport/messages.ts';
import type { IncomingMessage } from '../transport/transport.ts';
import type { FrontendSession } from './frontend-sessions.ts';

export interface PendingAdd {
  readonly session: FrontendSession;
  readonly key: string;
  readonly numPromptTokens: number;
  /** Everyone who asked: the first message and its repetitions. */
  readonly askers: IncomingMessage[];
}

export class PendingAdds {
  readonly #byTag = new Map<number, PendingAdd>();
  readonly #tags = new Map<string, number>();
  #nextTag: number;

  /** @param firstTag above all that the rank was ever given. */
  constructor(firstTag = 1) {
    this.#nextTag = firstTag;
  }

  get nextTag(): number {
    return this.#nextTag;
  }

  get size(): number {
    return this.#byTag.size;
  }

  /** Of their prompts: the rank has not said anything about these yet. */
  get numPromptTokens(): number {
    let sum = 0;
    for (const { numPromptTokens } of this.#byTag.values()) sum += numPromptTokens;
    return sum;
  }

  find(key: string): PendingAdd | undefined {
    return this.#byTag.get(this.#tags.get(key) ?? 0);
  }

  /** @returns the tag that the rank's answer will carry. */
  add(pending: PendingAdd): number {
    const tag = this.#nextTag++;
    this.#byTag.set(tag, pending);
    this.#tags.set(pending.key, tag);
    return tag;
  }

  /** The one with this tag, which is answered now. */
  take(tag: number): PendingAdd | undefined {
    const pending = this.#byTag.get(tag);
    if (!pending) return undefined;
    this.#byTag.delete(tag);
    this.#tags.delete(pending.key);
    return pending;
  }

  takeAll(): PendingAdd[] {
    return [...this.#byTag.keys()].map((tag) => this.take(tag)!);
  }
}

export function respond(askers: readonly IncomingMessage[], answer: Ack | Nack): void {
  const data = encode(answer);
  for (const asker of askers) asker.respond(data);
}
