/** Finds where a JSON object or list ends, in text that comes in pieces, without reading its values. */
export class JsonScanner {
  /** The closing brackets that must still come. */
  readonly #closers: string[] = [];
  #isInString = false;
  #isEscaped = false;
  #isBroken = false;
  #isComplete = false;

  /** The last bracket was closed. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** The text cannot be JSON any more: a character that no JSON has outside of strings, a bare newline inside one, a wrong bracket. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Takes text, which begins with `{` or `[` the first time. Returns how many characters belong to the value and make sense. */
  scan(text: string): number {
    for (let i = 0; i < text.length; i++) {
      this.#step(text[i]!);
      if (this.#isBroken) return i;
      if (this.#isComplete) return i + 1;
    }
    return text.length;
  }

  #step(char: string): void {
    if (this.#isInString) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (char === '\\') this.#isEscaped = true;
      else if (char === '"') this.#isInString = false;
      else if (char < ' ') this.#isBroken = true;
    } else if (char === '"') this.#isInString = true;
    else if (char === '{') this.#closers.push('}');
    else if (char === '[') this.#closers.push(']');
    else if (char === '}' || char === ']') {
      if (this.#closers.pop() !== char) this.#isBroken = true;
      else if (this.#closers.length === 0) this.#isComplete = true;
    } else if (!/[\s\w.,:+-]/.test(char)) this.#isBroken = true;
  }
}

/** The members of a JSON object as they were written: key → text of its value. `text` must be valid JSON. */
export function memberTexts(text: string): Map<string, string> {
  const members = new Map<string, string>();
  let at = text.indexOf('{') + 1;
  for (;;) {
    at = skip(text, at, /[\s,]/);
    if (text[at] !== '"') return members;
    const keyEnd = valueEnd(text, at);
    const start = skip(text, keyEnd, /[\s:]/);
    const end = valueEnd(text, start);
    members.set(JSON.parse(text.slice(at, keyEnd)) as string, text.slice(start, end));
    at = end;
  }
}

function skip(text: string, from: number, what: RegExp): number {
  let at = from;
  while (at < text.length && what.test(text[at]!)) at += 1;
  return at;
}

function valueEnd(text: string, start: number): number {
  if (text[start] === '{' || text[start] === '[') return start + new JsonScanner().scan(text.slice(start));
  if (text[start] !== '"') return skip(text, start, /[\w.+-]/);
  let at = start + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}
