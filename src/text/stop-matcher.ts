/**
 * Finds stop strings in a stream of text, across the borders of its pieces. The match that ends earliest wins (of those that end together,
 * the longest), so that the result does not depend on how the text was cut. Text that could still become a stop string is held back.
 */
export interface StopResult {
  /** Text that is certain to be output. */
  readonly text: string;
  /** The stop string that was found; nothing is output after it. */
  readonly matched: string | null;
}

export class StopMatcher {
  readonly #stops: readonly string[];
  readonly #includeStopStr: boolean;
  /** A suffix of the text so far that is a proper prefix of a stop string. */
  #held = '';
  #isDone = false;

  /** Empty stop strings match nothing. `includeStopStr` keeps the stop string at the end of the output. */
  constructor(stops: readonly string[], includeStopStr: boolean) {
    this.#stops = stops.filter((stop) => stop !== '');
    this.#includeStopStr = includeStopStr;
  }

  push(text: string): StopResult {
    if (this.#isDone) return { text: '', matched: null };
    if (this.#stops.length === 0) return { text, matched: null };
    const seen = this.#held + text;
    const match = this.#earliest(seen);
    if (match !== null) {
      this.#held = '';
      this.#isDone = true;
      return { text: seen.slice(0, this.#includeStopStr ? match.end : match.end - match.stop.length), matched: match.stop };
    }
    const numHeld = this.#numCharsThatMayMatch(seen);
    this.#held = seen.slice(seen.length - numHeld);
    return { text: seen.slice(0, seen.length - numHeld), matched: null };
  }

  /** What was held back, when no text follows. */
  flush(): string {
    const text = this.#held;
    this.#held = '';
    return text;
  }

  #earliest(text: string): { stop: string; end: number } | null {
    let best: { stop: string; end: number } | null = null;
    for (const stop of this.#stops) {
      const start = text.indexOf(stop);
      if (start < 0) continue;
      const end = start + stop.length;
      if (best === null || end < best.end || (end === best.end && stop.length > best.stop.length)) best = { stop, end };
    }
    return best;
  }

  #numCharsThatMayMatch(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
