/**
 * Template source to tokens, with the settings that transformers uses: trim_blocks (the newline after a tag goes) and lstrip_blocks (blanks
 * before a tag that is alone on its line go), `-` and `+` signs in tags override both.
 */
import { TemplateError } from './errors.ts';
import { isSpace, trimEnd } from './python-text.ts';

export type TokenType =
  | 'data'
  | 'blockBegin'
  | 'blockEnd'
  | 'variableBegin'
  | 'variableEnd'
  | 'name'
  | 'string'
  | 'integer'
  | 'float'
  | 'operator'
  | 'end';

export interface Token {
  readonly type: TokenType;
  /** Unescaped for strings, without underscores for numbers. */
  readonly value: string;
  readonly line: number;
}

/** @throws TemplateError naming the line. */
export function tokenize(template: string): Token[] {
  const normalized = template.replace(/\r\n?/g, '\n');
  return new Lexer(normalized.endsWith('\n') ? normalized.slice(0, -1) : normalized).run();
}

const RAW_BEGIN = /\{%[-+]?\s*raw\s*(?:-%\}\s*|%\})/y;
const RAW_END = /\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\}\n?)/g;
const BLOCK_END = /\+%\}|-%\}\s*|%\}\n?/y;
const VARIABLE_END = /-\}\}\s*|\}\}/y;
const WHITESPACE = /\s+/y;
const FLOAT = /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const NAME = /[\p{L}_][\p{L}\p{M}\p{N}_]*/uy;
const STRING = /'([^'\\]*(?:\\.[^'\\]*)*)'|"([^"\\]*(?:\\.[^"\\]*)*)"/sy;
const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[-+*/%~[\](){}=><.:|,;]/y;
const CLOSER: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

const withoutUnderscores = (match: RegExpExecArray): string => match[0].replaceAll('_', '');

/** In the order in which they are tried. */
const LITERALS: readonly { type: TokenType; pattern: RegExp; read: (match: RegExpExecArray, line: number) => string }[] = [
  { type: 'float', pattern: FLOAT, read: withoutUnderscores },
  { type: 'integer', pattern: INTEGER, read: withoutUnderscores },
  { type: 'name', pattern: NAME, read: (match) => match[0] },
  { type: 'string', pattern: STRING, read: (match, line) => unescapeText(match[1] ?? match[2]!, line) },
];

class Lexer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  #at = 0;
  #line = 1;
  /** Whether what was consumed last ended in a newline, so that blanks from here on begin a line. */
  #isAtLineStart = true;

  constructor(source: string) {
    this.#source = source;
  }

  run(): Token[] {
    const source = this.#source;
    while (this.#at < source.length) {
      const begin = source.slice(this.#at).search(/\{[{%#]/);
      if (begin < 0) {
        this.#push('data', source.slice(this.#at));
        break;
      }
      const text = source.slice(this.#at, this.#at + begin);
      const kind = source[this.#at + begin + 1]!;
      const sign = source[this.#at + begin + 2] ?? '';
      this.#data(text, sign, kind !== '{');
      this.#advance(begin);
      if (kind === '%' && this.#raw()) continue;
      this.#advance(sign === '-' || sign === '+' ? 3 : 2);
      if (kind === '#') this.#comment();
      else this.#tag(kind === '%');
    }
    this.#push('end', '');
    return this.#tokens;
  }

  #data(text: string, sign: string, isBlock: boolean): void {
    let kept = text;
    if (sign === '-') kept = trimEnd(text);
    else if (sign !== '+' && isBlock) {
      const lineStart = text.lastIndexOf('\n') + 1;
      if ((lineStart > 0 || this.#isAtLineStart) && [...text.slice(lineStart)].every(isSpace)) kept = text.slice(0, lineStart);
    }
    if (kept !== '') this.#push('data', kept);
  }

  #raw(): boolean {
    const begin = this.#match(RAW_BEGIN);
    if (begin === null) return false;
    RAW_END.lastIndex = this.#at;
    const end = RAW_END.exec(this.#source);
    if (end === null) throw this.#error('the end of {% raw %} is missing');
    this.#data(this.#source.slice(this.#at, end.index), end[1]!, true);
    this.#advance(end.index + end[0].length - this.#at);
    return true;
  }

  #comment(): void {
    const end = this.#source.indexOf('#}', this.#at);
    if (end < 0) throw this.#error('the end of a comment is missing');
    const sign = end > this.#at ? this.#source[end - 1] : '';
    this.#advance(end + 2 - this.#at);
    if (sign === '-') this.#match(WHITESPACE);
    else if (sign !== '+' && this.#source[this.#at] === '\n') this.#advance(1);
  }

  #tag(isBlock: boolean): void {
    this.#push(isBlock ? 'blockBegin' : 'variableBegin', '');
    const open: string[] = [];
    for (;;) {
      this.#match(WHITESPACE);
      if (this.#at >= this.#source.length) throw this.#error('a tag is not closed');
      if (open.length === 0 && this.#match(isBlock ? BLOCK_END : VARIABLE_END) !== null) break;
      this.#inner(open);
    }
    this.#push(isBlock ? 'blockEnd' : 'variableEnd', '');
  }

  #inner(open: string[]): void {
    const line = this.#line;
    for (const { type, pattern, read } of LITERALS) {
      const match = this.#match(pattern);
      if (match === null) continue;
      this.#push(type, read(match, line), line);
      return;
    }
    const symbol = this.#match(OPERATOR)?.[0];
    if (symbol === undefined) throw this.#error(`unexpected character ${JSON.stringify(this.#source[this.#at])}`);
    if (symbol in CLOSER) open.push(CLOSER[symbol]!);
    else if (symbol === ')' || symbol === ']' || symbol === '}') {
      const expected = open.pop();
      if (expected !== symbol) throw this.#error(`unexpected '${symbol}'${expected === undefined ? '' : `, expected '${expected}'`}`);
    }
    this.#push('operator', symbol, line);
  }

  /** Consumes the match of a sticky expression at the current place. */
  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#source);
    if (match !== null) this.#advance(match[0].length);
    return match;
  }

  #advance(numChars: number): void {
    for (let i = this.#at; i < this.#at + numChars; i++) if (this.#source[i] === '\n') this.#line += 1;
    this.#at += numChars;
    this.#isAtLineStart = this.#source[this.#at - 1] === '\n';
  }

  #push(type: TokenType, value: string, line = this.#line): void {
    this.#tokens.push({ type, value, line });
  }

  #error(message: string): TemplateError {
    return new TemplateError(`line ${this.#line}: ${message}`);
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  b: '\b',
  f: '\f',
  v: '\v',
  a: '\x07',
  '\\': '\\',
  "'": "'",
  '"': '"',
  '\n': '',
};

/** Python's escapes; an unknown one stays as it is written. */
function unescapeText(text: string, line: number): string {
  return text.replace(/\\(?:x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|[0-7]{1,3}|[\s\S])/g, (sequence) => {
    const kind = sequence[1]!;
    if (kind in ESCAPES) return ESCAPES[kind]!;
    if (/[0-7]/.test(kind)) return String.fromCodePoint(Number.parseInt(sequence.slice(1), 8));
    if (sequence.length > 2) return String.fromCodePoint(Number.parseInt(sequence.slice(2), 16));
    if ('xuUN'.includes(kind)) throw new TemplateError(`line ${line}: unsupported escape ${sequence} in a string`);
    return sequence;
  });
}
