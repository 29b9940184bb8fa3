/** What a tool parser has understood so far. White space beside a call belongs to the call; everything else that is no call is content. */
import { type Reading, TextInput } from '../text-input.ts';
import type { CallPiece, ToolParser, ToolPiece } from './tool-parser.ts';

/** The longest text before a call that a parser may ask for. */
const TAIL_LENGTH = 32;

export class ToolOutput {
  #content = '';
  #calls: CallPiece[] = [];
  #numCalls = 0;
  /** White space at the end of the content: dropped before a call. */
  #space = '';
  /** The last characters of the content. */
  #tail = '';
  #hasWords = false;

  get numCalls(): number {
    return this.#numCalls;
  }

  /** Whether there was anything but newlines so far. */
  get hasWords(): boolean {
    return this.#hasWords || /[^\n]/.test(this.#space);
  }

  /** Whether the content, without white space behind it, ends in `text` (at most 32 characters). */
  contentEndsWith(text: string): boolean {
    return this.#tail.endsWith(text);
  }

  say(text: string): void {
    if (text === '') return;
    const words = text.trimEnd();
    if (words === '') {
      this.#space += text;
      return;
    }
    const said = this.#space + words;
    this.#content += this.#numCalls > 0 && !this.#hasWords ? said.trimStart() : said;
    this.#space = text.slice(words.length);
    this.#tail = said.length >= TAIL_LENGTH ? said.slice(-TAIL_LENGTH) : (this.#tail + said).slice(-TAIL_LENGTH);
    this.#hasWords = true;
  }

  beginCall(name: string): void {
    this.#space = '';
    this.#calls.push({ index: this.#numCalls, name, arguments: '' });
    this.#numCalls += 1;
  }

  /** Of the call that was begun last. */
  addArguments(text: string): void {
    if (text !== '') this.#calls.push({ index: this.#numCalls - 1, arguments: text });
  }

  end(): void {
    if (this.#numCalls === 0) this.#content += this.#space;
    this.#space = '';
  }

  /** What is new since the last take. */
  take(): ToolPiece {
    const piece = { content: this.#content, calls: this.#calls };
    this.#content = '';
    this.#calls = [];
    return piece;
  }
}

/** A parser written as one generator. What it leaves when it returns is content. */
export function parserFrom(read: (input: TextInput, out: ToolOutput) => Reading<void>): ToolParser {
  const input = new TextInput();
  const out = new ToolOutput();
  const reading = read(input, out);
  const proceed = (): ToolPiece => {
    if (reading.next().done) out.say(input.take(input.rest.length));
    if (input.isEnded) out.end();
    return out.take();
  };
  return {
    push(text) {
      input.rest += text;
      return proceed();
    },
    flush() {
      input.isEnded = true;
      return proceed();
    },
  };
}
