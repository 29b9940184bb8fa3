/**
 * Generations that are being answered now, over all frontend processes of a server: the HTTP edge counts its own, the frontend actor
 * tells the others of them in its beats and learns theirs. What others do is therefore known a beat late.
 */
export class OpenGenerations {
  numHere = 0;
  #numElsewhere = 0;
  readonly #handlers: (() => void)[] = [];

  get total(): number {
    return this.numHere + this.#numElsewhere;
  }

  setElsewhere(count: number): void {
    const isFewer = count < this.#numElsewhere;
    this.#numElsewhere = count;
    if (isFewer) for (const handler of this.#handlers) handler();
  }

  /** Called when others have ended some. */
  onFewerElsewhere(handler: () => void): void {
    this.#handlers.push(handler);
  }
}
