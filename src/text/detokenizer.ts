/**
 * Token ids to text, one token at a time. Text comes out as soon as it is certain: the bytes of half a character wait for their other half.
 * The pieces joined are exactly `tokenizer.decode` of all ids.
 */
import type { TokenDecoder, TokenPiece } from './token-decoder.ts';
import { incompleteTailLength, isValidStart, sequenceLength } from './utf8.ts';

/** What the detokenizer needs of a tokenizer: a table, no native call. */
export interface TokenTable {
  readonly decoder: TokenDecoder;
  /** Undefined for ids outside the vocabulary (padded embedding rows), which stand for no text. */
  piece(id: number): TokenPiece | undefined;
  isSpecial(id: number): boolean;
}

export class Detokenizer {
  readonly #table: TokenTable;
  readonly #skipSpecialTokens: boolean;
  readonly #shownTokenIds: ReadonlySet<number>;
  /** Bytes of a character that is not complete yet. */
  #pending: number[] = [];
  #isFirst = true;
  #numToStrip: number;

  /** @param options.shownTokenIds special tokens that are not skipped. */
  constructor(table: TokenTable, options: { readonly skipSpecialTokens: boolean; readonly shownTokenIds?: ReadonlySet<number> }) {
    this.#table = table;
    this.#shownTokenIds = options.shownTokenIds ?? new Set();
    this.#skipSpecialTokens = options.skipSpecialTokens;
    this.#numToStrip = table.decoder.numStripped;
  }

  /** The text that this token completes; often that of the token itself, '' while a character is incomplete. */
  push(id: number): string {
    if (this.#skipSpecialTokens && this.#table.isSpecial(id) && !this.#shownTokenIds.has(id)) return '';
    const piece = this.#table.piece(id);
    if (piece === undefined) return '';
    const text = this.#isFirst ? piece.firstText : piece.text;
    this.#isFirst = false;
    if (text !== null && this.#pending.length === 0) return this.#strip(text);
    if (text !== null && !this.#table.decoder.isByteLevel) return this.#strip(this.#takePending() + text);
    for (const byte of piece.bytes) this.#pending.push(byte);
    return this.#strip(this.#takeCompleted());
  }

  /** What is left when no token follows: an incomplete character becomes U+FFFD. */
  flush(): string {
    return this.#strip(this.#takePending());
  }

  #takeCompleted(): string {
    const numHeld = incompleteTailLength(this.#pending);
    const completed = this.#pending.slice(0, this.#pending.length - numHeld);
    this.#pending = this.#pending.slice(this.#pending.length - numHeld);
    return this.#decode(completed);
  }

  #takePending(): string {
    const bytes = this.#pending;
    this.#pending = [];
    return this.#decode(bytes);
  }

  #decode(bytes: readonly number[]): string {
    if (bytes.length === 0) return '';
    return this.#table.decoder.isByteLevel ? decodeLossy(bytes) : decodeByteTokens(bytes);
  }

  #strip(text: string): string {
    while (this.#numToStrip > 0 && text !== '') {
      if (!text.startsWith(this.#table.decoder.stripped)) this.#numToStrip = 0;
      else {
        text = text.slice(this.#table.decoder.stripped.length);
        this.#numToStrip -= 1;
      }
    }
    return text;
  }
}

/** ByteLevel: one U+FFFD for each longest broken sequence, as Rust's `from_utf8_lossy` and the WHATWG decoder do. */
function decodeLossy(bytes: readonly number[]): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes));
}

/**
 * Byte tokens: one U+FFFD for each byte that belongs to no character. (The reference spoils a whole run of byte tokens for one bad byte
 * in it; then a newline, which is a byte token in many vocabularies, could not be shown, or stop a request, before the next token.)
 */
function decodeByteTokens(bytes: readonly number[]): string {
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes[at]!);
    const isWhole = length > 0 && at + length <= bytes.length && isValidStart(bytes, at, length);
    text += isWhole ? decodeLossy(bytes.slice(at, at + length)) : '\uFFFD';
    at += isWhole ? length : 1;
  }
  return text;
}
