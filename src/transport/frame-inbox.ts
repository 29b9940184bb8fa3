/** What every frame link does with a frame that arrived, and how it knows that the other end lives. */
export type FrameHandler = (kind: number, body: Uint8Array) => void;

/** A frame of this kind says that the sender lives; nobody sees it. */
export const BEAT = 255;
export const BEAT_MS = 1000;
/** Longest silence. An exchange has its own, shorter deadline: this one finds a peer that is gone while nothing runs. */
export const SILENCE_MS = 10_000;

/** Hands frames over in order; while there is no handler, they are kept for the next one. */
export class FrameInbox {
  readonly #early: { readonly kind: number; readonly body: Uint8Array }[] = [];
  #handler: FrameHandler | null = null;

  /** `body` is copied where it has to be kept. */
  receive(kind: number, body: Uint8Array): void {
    if (kind === BEAT) return;
    if (this.#handler) this.#handler(kind, body);
    else this.#early.push({ kind, body: Uint8Array.from(body) });
  }

  setHandler(handler: FrameHandler | null): void {
    this.#handler = handler;
    while (this.#handler !== null && this.#early.length > 0) {
      const { kind, body } = this.#early.shift()!;
      this.#handler(kind, body);
    }
  }
}
