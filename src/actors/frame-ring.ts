/**
 * Encoded frames that one frontend has not acknowledged yet, so that a lost one can be sent again. Holds the contiguous range
 * [firstSeq, lastSeq]; bounded, oldest dropped first: a frontend that asks for a dropped frame gets none and continues its requests anew.
 */
export class FrameRing {
  readonly #maxFrames: number;
  readonly #maxBytes: number;
  #frames: Uint8Array[] = [];
  #firstSeq = 1;
  #numBytes = 0;

  constructor(options: { readonly maxFrames?: number; readonly maxBytes?: number } = {}) {
    this.#maxFrames = options.maxFrames ?? 8192;
    this.#maxBytes = options.maxBytes ?? 32 * 2 ** 20;
  }

  /** The number that the next frame must carry: contiguous from 1. */
  get nextSeq(): number {
    return this.#firstSeq + this.#frames.length;
  }

  get isEmpty(): boolean {
    return this.#frames.length === 0;
  }

  get numBytes(): number {
    return this.#numBytes;
  }

  push(frame: Uint8Array): void {
    this.#frames.push(frame);
    this.#numBytes += frame.byteLength;
    let numDropped = 0;
    while (this.#frames.length - numDropped > this.#maxFrames || this.#numBytes > this.#maxBytes) {
      this.#numBytes -= this.#frames[numDropped]?.byteLength ?? 0;
      numDropped++;
    }
    this.#dropFirst(numDropped);
  }

  /** Everything up to and including `frameSeq` arrived. */
  acknowledge(frameSeq: number): void {
    const numAcknowledged = Math.min(frameSeq - this.#firstSeq + 1, this.#frames.length);
    for (let i = 0; i < numAcknowledged; i++) this.#numBytes -= this.#frames[i]?.byteLength ?? 0;
    this.#dropFirst(numAcknowledged);
  }

  /** The frames from `frameSeq` on; none when the first of them is no longer held. */
  from(frameSeq: number): readonly Uint8Array[] {
    return frameSeq < this.#firstSeq ? [] : this.#frames.slice(frameSeq - this.#firstSeq);
  }

  /** Gives the memory back; numbering goes on. */
  clear(): void {
    this.#firstSeq = this.nextSeq;
    this.#frames = [];
    this.#numBytes = 0;
  }

  #dropFirst(numFrames: number): void {
    if (numFrames <= 0) return;
    this.#frames.splice(0, numFrames);
    this.#firstSeq += numFrames;
  }
}
