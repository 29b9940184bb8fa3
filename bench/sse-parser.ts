/**
 * Reads a server-sent event stream as the HTML standard defines it, from pieces cut anywhere: inside a line, a line end or a character.
 * Only the data of events is kept; comments (keep-alives) and other fields are skipped.
 */
import { StringDecoder } from 'node:string_decoder';

export class SseParser {
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';
  #data: string[] = [];

  /** The data of each event that this piece completes; the lines of one event are joined with `\n`. */
  push(piece: Uint8Array): string[] {
    // A trailing \r may be half of \r\n: it stays until the next character is known.
    const text = this.#rest + this.#decoder.write(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength));
    const events: string[] = [];
    let start = 0;
    for (let index = 0; index < text.length; index++) {
      const character = text[index];
      if (character !== '\n' && character !== '\r') continue;
      if (character === '\r' && index === text.length - 1) break;
      this.#line(text.slice(start, index), events);
      if (character === '\r' && text[index + 1] === '\n') index++;
      start = index + 1;
    }
    this.#rest = text.slice(start);
    return events;
  }

  #line(line: string, events: string[]): void {
    if (line === '') {
      if (this.#data.length > 0) events.push(this.#data.join('\n'));
      this.#data = [];
    } else if (line.startsWith('data:')) {
      this.#data.push(line.slice(line[5] === ' ' ? 6 : 5));
    }
  }
}
