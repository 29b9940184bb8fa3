/**
 * Text that comes in pieces, for parsers written as generators: they read `rest`, take what they understood, and `yield` when the next
 * step depends on text that is not there yet. A parser that decides on certain text only gives the same result for every cut.
 */
export class TextInput {
  /** Not yet taken. */
  rest = '';
  /** No more text will come. */
  isEnded = false;

  take(length: number): string {
    const taken = this.rest.slice(0, length);
    this.rest = this.rest.slice(length);
    return taken;
  }

  startsWith(text: string): boolean {
    return this.rest.startsWith(text);
  }
}

/** Each yield asks for more text. */
export type Reading<Result> = Generator<undefined, Result, undefined>;

/** The first character that is not white space, left in place; '' when the text ends before one. */
export function* firstCharacter(input: TextInput): Reading<string> {
  for (;;) {
    const start = input.rest.search(/\S/);
    if (start >= 0) return input.rest[start]!;
    if (input.isEnded) return '';
    yield;
  }
}

/** Where `text` comes next after white space, both are taken and returned; else nothing is, and it is ''. */
export function* takeNext(input: TextInput, text: string): Reading<string> {
  for (;;) {
    const ahead = input.rest.trimStart();
    if (ahead.startsWith(text)) return input.take(input.rest.length - ahead.length + text.length);
    if (input.isEnded || !text.startsWith(ahead)) return '';
    yield;
  }
}

/** Gives all text before the first of `markers` to `say`, as it comes, and takes that marker; null when the text ends without one. */
export function* takeUntil(input: TextInput, markers: readonly string[], say: (text: string) => void): Reading<string | null> {
  for (;;) {
    const [at, marker] = firstOf(input.rest, markers);
    if (marker !== null) {
      say(input.take(at));
      return input.take(marker.length);
    }
    say(input.take(input.rest.length - lengthOfMarkerStart(input.rest, markers)));
    if (input.isEnded) {
      say(input.take(input.rest.length));
      return null;
    }
    yield;
  }
}

function firstOf(text: string, markers: readonly string[]): [at: number, marker: string | null] {
  let [first, found]: [number, string | null] = [text.length, null];
  for (const marker of markers) {
    const at = text.indexOf(marker);
    if (at >= 0 && at < first) [first, found] = [at, marker];
  }
  return [first, found];
}

/** Length of the end of `text` that may be the beginning of a marker. */
function lengthOfMarkerStart(text: string, markers: readonly string[]): number {
  let longest = 0;
  for (const marker of markers) {
    for (let size = Math.min(marker.length - 1, text.length); size > longest; size--) {
      if (text.endsWith(marker.slice(0, size))) longest = size;
    }
  }
  return longest;
}
