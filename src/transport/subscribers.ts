/** The handlers of this process, shared by the adapters that route messages themselves. */
import { checkPattern, PatternMap } from './subject-patterns.ts';
import type { IncomingMessage, Subscription } from './transport.ts';

type Handler = (message: IncomingMessage) => void;

export class Subscribers {
  readonly #handlers = new PatternMap<{ readonly handle: Handler; isOpen: boolean }>();
  readonly #onChange: (change: 'added' | 'removed', pattern: string) => void;

  /** `onChange`: the first handler of a pattern came, or its last one left. */
  constructor(onChange: (change: 'added' | 'removed', pattern: string) => void = () => {}) {
    this.#onChange = onChange;
  }

  subscribe(pattern: string, handle: Handler): Subscription {
    checkPattern(pattern);
    const entry = { handle, isOpen: true };
    const isFirst = !this.patterns().includes(pattern);
    this.#handlers.add(pattern, entry);
    if (isFirst) this.#onChange('added', pattern);
    return {
      unsubscribe: () => {
        if (!entry.isOpen) return;
        entry.isOpen = false;
        this.#handlers.remove(pattern, entry);
        if (!this.patterns().includes(pattern)) this.#onChange('removed', pattern);
      },
    };
  }

  has(subject: string): boolean {
    return this.#handlers.has(subject);
  }

  /** Each pattern once. */
  patterns(): string[] {
    return [...new Set(this.#handlers.patterns())];
  }

  /** Calls every handler that matches. `respond` gets the first answer. Returns how many were called. */
  deliver(subject: string, data: Uint8Array, respond: (data: Uint8Array) => void): number {
    const entries = this.#handlers.match(subject);
    if (entries.length === 0) return 0;
    let isAnswered = false;
    const message: IncomingMessage = {
      subject,
      data,
      respond: (answer) => {
        if (!isAnswered) respond(answer);
        isAnswered = true;
      },
    };
    let numCalled = 0;
    for (const entry of entries) {
      if (!entry.isOpen) continue; // an earlier handler of this very message unsubscribed it
      numCalled++;
      entry.handle(message);
    }
    return numCalled;
  }

  clear(): void {
    this.#handlers.clear();
  }
}

export const noResponse = (): void => {};
