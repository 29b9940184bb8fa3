/**
 * The `decoder` of a tokenizer.json, compiled into one lookup per token: what text, or which bytes, a token stands for.
 * Two families cover language models: ByteLevel (every token is bytes) and SentencePiece style (every token is text, except the 256 byte
 * tokens `<0x00>` … `<0xFF>`). What needs the tokens before it — half a character, the stripped first space — is detokenizer.ts's work.
 */
import { StartupError } from '../core/errors.ts';
import { incompleteTailLength, isValidStart, sequenceLength } from './utf8.ts';

/** `text` is null when the bytes are not whole characters by themselves. */
export interface TokenPiece {
  readonly text: string | null;
  readonly bytes: Uint8Array;
  /** The text when it is the first token of an output: SentencePiece drops the space that it put before the first word. */
  readonly firstText: string | null;
}

export interface DecoderConfig {
  readonly type: string;
  readonly [field: string]: unknown;
}

export class TokenDecoder {
  /** ByteLevel: bytes of neighbouring tokens join to characters. Otherwise a text token ends a run of byte tokens. */
  readonly isByteLevel: boolean;
  /** Up to this many spaces are dropped at the beginning of an output. */
  readonly numStripped: number;
  readonly stripped: string;
  readonly #toText: (token: string, isFirst: boolean) => string;
  readonly #hasByteTokens: boolean;

  /** @throws StartupError naming `file` when the decoder is of a kind that no language model uses. */
  constructor(config: DecoderConfig | null, file: string) {
    const steps = flatten(config);
    const unsupported = (what: string) =>
      new StartupError(
        `${file}: unsupported decoder ${what}; supported are ByteLevel, Metaspace, and sequences of Replace, ByteFallback, Fuse and Strip.`,
      );
    this.isByteLevel = steps.some((step) => step.type === 'ByteLevel');
    this.#hasByteTokens = steps.some((step) => step.type === 'ByteFallback');
    if (this.isByteLevel && steps.some((step) => step.type !== 'ByteLevel' && step.type !== 'Fuse')) throw unsupported('around ByteLevel');
    const changes: ((text: string, isFirst: boolean) => string)[] = [];
    let isFused = false;
    let strip = { content: ' ', start: 0 };
    for (const step of steps) {
      if (step.type === 'ByteLevel' || step.type === 'ByteFallback') continue;
      else if (step.type === 'Fuse') isFused = true;
      else if (step.type === 'Replace' && !isFused) changes.push(replace(step, unsupported));
      else if (step.type === 'Metaspace' && !isFused) changes.push(metaspace(step));
      else if (step.type === 'Strip' && isFused && !step.stop)
        strip = { content: String(step.content ?? ' '), start: Number(step.start ?? 0) };
      else throw unsupported(`"${step.type}"`);
    }
    this.numStripped = strip.start;
    this.stripped = strip.content;
    this.#toText = (token, isFirst) => changes.reduce((text, change) => change(text, isFirst), token);
  }

  piece(token: string): TokenPiece {
    if (this.isByteLevel) return pieceOfBytes(bytesOfByteLevel(token));
    const byte = this.#hasByteTokens ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token) : null;
    if (byte !== null) return { text: null, firstText: null, bytes: Uint8Array.of(Number.parseInt(byte[1]!, 16)) };
    const text = this.#toText(token, false);
    return { text, firstText: this.#toText(token, true), bytes: new TextEncoder().encode(text) };
  }
}

/** Tokens without a decoder are words with a space between them, which Metaspace and ByteLevel models never are; such a file is refused. */
function flatten(config: DecoderConfig | null): DecoderConfig[] {
  if (config === null) return [{ type: 'none' }];
  return config.type === 'Sequence' ? (config.decoders as DecoderConfig[]).flatMap(flatten) : [config];
}

function replace(step: DecoderConfig, unsupported: (what: string) => StartupError): (text: string) => string {
  const pattern = (step.pattern as { String?: string } | undefined)?.String;
  if (pattern === undefined) throw unsupported('"Replace" with a regular expression');
  return (text) => text.replaceAll(pattern, () => String(step.content ?? ''));
}

function metaspace(step: DecoderConfig): (text: string, isFirst: boolean) => string {
  const mark = String(step.replacement ?? '▁');
  const keepsFirst = step.prepend_scheme === 'never' || step.add_prefix_space === false;
  return (text, isFirst) => text.replaceAll(mark, isFirst && !keepsFirst ? '' : ' ');
}

function pieceOfBytes(bytes: Uint8Array): TokenPiece {
  const text = isWholeText(bytes) ? new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes) : null;
  return { text, firstText: text, bytes };
}

function isWholeText(bytes: Uint8Array): boolean {
  if (incompleteTailLength(bytes) > 0) return false;
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes[at]!);
    if (length === 0 || at + length > bytes.length || !isValidStart(bytes, at, length)) return false;
    at += length;
  }
  return true;
}

/** A token in GPT-2's alphabet of 256 printable characters; one with any other character stands for its own UTF-8 (added tokens). */
function bytesOfByteLevel(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = BYTE_OF_CHARACTER.get(character);
    if (byte === undefined) return new TextEncoder().encode(token);
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/** Printable Latin-1 stands for itself; the other 68 bytes follow from U+0100 on. */
const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = (() => {
  const isPrintable = (byte: number) => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  const others = bytes.filter((byte) => !isPrintable(byte));
  return new Map(bytes.map((byte) => [String.fromCodePoint(isPrintable(byte) ? byte : 0x100 + others.indexOf(byte)), byte]));
})();
