/**
 * A streamed reply on a uWebSockets.js response. The source is asked for its next piece when the socket has taken the one before:
 * what a slow client does not read is never produced, so it costs the pieces in the kernel's buffers and one more.
 */
import type { HttpResponse } from 'uWebSockets.js';
import type { HttpReply } from './http-message.ts';
import { writeHead } from './uws-head.ts';

/** A comment: event-stream clients skip it, proxies see that the stream lives. */
const KEEP_ALIVE = ': keep-alive\n\n';
/** Calls of `care` after which a silent stream gets a comment: 12 s at one every 4 s. */
const SILENT_CARES = 3;
/** Calls of `care` after which a client that takes nothing is given up: ten minutes. */
const MAX_STALLED_CARES = 150;

export class StreamWriter {
  readonly #response: HttpResponse;
  readonly #signal: AbortSignal;
  /** Sent with the first piece: uWebSockets.js ends the headers only then, and one packet is better than two. */
  #pendingHead: (() => void) | null;
  #wake: (() => void) | null = null;
  readonly #closes: boolean;
  #isBlocked = false;
  #numSilentCares = 0;
  #numStalledCares = 0;

  constructor(response: HttpResponse, signal: AbortSignal, head: HttpReply, closes: boolean) {
    this.#response = response;
    this.#signal = signal;
    this.#pendingHead = () => writeHead(response, head, closes);
    this.#closes = closes;
    // Always registered: without a handler, uWebSockets.js would start its idle timer when the buffer has drained.
    response.onWritable(() => {
      this.#unblock();
      return true;
    });
    signal.addEventListener('abort', () => this.#unblock(), { once: true });
  }

  /** Resolves when the stream has ended or the client is gone. A source that fails ends the connection. */
  async send(pieces: AsyncIterable<string>): Promise<void> {
    const iterator = pieces[Symbol.asyncIterator]();
    // The source may wait for a long time; it must hear at once that nobody reads any more.
    this.#signal.addEventListener('abort', () => void iterator.return?.()?.catch(() => {}), { once: true });
    try {
      for (;;) {
        const { done, value } = await iterator.next();
        if (this.#signal.aborted) return;
        if (done) break;
        if (!this.#write(value)) await this.#untilWritable();
        if (this.#signal.aborted) return;
      }
      this.#response.cork(() => {
        this.#sendHead();
        this.#response.end(undefined, this.#closes);
      });
    } catch {
      // The source tells failures inside the stream; one that it throws leaves only the broken connection to tell.
      if (!this.#signal.aborted) this.#response.close();
    }
  }

  /**
   * To be called every few seconds. A stream that waits for its source gets a comment now and then. One that waits for its client
   * is written to again, which arms uWebSockets.js's time-out anew, until it has waited too long.
   * @param isClosing the server wants to end: a client that takes nothing is left to the time-out.
   */
  care(isClosing = false): void {
    if (this.#signal.aborted) return;
    if (!this.#isBlocked) {
      this.#numSilentCares++;
      if (this.#numSilentCares >= SILENT_CARES) this.#write(KEEP_ALIVE);
      return;
    }
    if (isClosing) return;
    this.#numStalledCares++;
    if (this.#numStalledCares > MAX_STALLED_CARES) {
      this.#response.close();
      return;
    }
    // `resume` sets the time-out and stops waiting for writability; the write after it waits for that again.
    this.#response.resume();
    if (this.#write(KEEP_ALIVE)) this.#unblock();
  }

  /** @returns false when the socket is full. */
  #write(piece: string): boolean {
    let isTaken = true;
    this.#response.cork(() => {
      this.#sendHead();
      isTaken = this.#response.write(piece);
    });
    this.#numSilentCares = 0;
    this.#isBlocked = !isTaken && !this.#signal.aborted;
    return isTaken;
  }

  #sendHead(): void {
    this.#pendingHead?.();
    this.#pendingHead = null;
  }

  async #untilWritable(): Promise<void> {
    while (this.#isBlocked) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  #unblock(): void {
    this.#isBlocked = false;
    this.#numStalledCares = 0;
    this.#wake?.();
    this.#wake = null;
  }
}
