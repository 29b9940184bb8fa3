/**
 * Patterns as JavaScript reads them with the `u` flag (ECMA-262, what JSON Schema asks for), as trees. What no finite automaton can do
 * (back references, word borders, look-behind, look-ahead in the middle) is refused by name.
 */
import { ANY_CHAR, type CharRange, type CharSet, charSet, chars, complement, unionOf } from './char-set.ts';
import { ConstraintError } from './constraint-error.ts';
import { alt, concat, EMPTY, type RegexNode, repeat, set } from './regex-node.ts';

/** A parsed pattern: like RegexNode, with anchors and look-aheads still in their places. */
export type PatternNode =
  | { readonly type: 'set'; readonly set: CharSet }
  | { readonly type: 'concat' | 'alt'; readonly items: readonly PatternNode[] }
  | { readonly type: 'repeat'; readonly item: PatternNode; readonly min: number; readonly max: number | null }
  | { readonly type: 'start' | 'end' }
  | { readonly type: 'look'; readonly isNegative: boolean; readonly item: PatternNode };

const MAX_LENGTH = 10_000;
const MAX_DEPTH = 50;
const MAX_REPEAT = 100_000;

/** @throws ConstraintError with the place in the pattern. */
export function parsePattern(pattern: string): PatternNode {
  if (pattern.length > MAX_LENGTH)
    throw new ConstraintError(`A pattern has at most ${MAX_LENGTH} characters, this one has ${pattern.length}.`);
  return new Parser(pattern).parse();
}

const DIGITS = charSet([48, 57]);
const WORD = unionOf(DIGITS, charSet([65, 90]), charSet([97, 122]), chars('_'));
const SPACES = unionOf(charSet([9, 13], [0x2000, 0x200a]), chars(' \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff'));
const CLASSES: Readonly<Record<string, CharSet>> = {
  d: DIGITS,
  D: complement(DIGITS),
  w: WORD,
  W: complement(WORD),
  s: SPACES,
  S: complement(SPACES),
};
const CONTROLS: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', f: '\f', v: '\v', 0: '\0' };
const NOT_NEWLINE = complement(chars('\n\r\u2028\u2029'));

class Parser {
  readonly #chars: readonly string[];
  #at = 0;
  #depth = 0;

  constructor(pattern: string) {
    this.#chars = Array.from(pattern);
  }

  parse(): PatternNode {
    const node = this.#alternatives();
    if (this.#at < this.#chars.length) throw this.#wrong('a ")" without "("');
    return node;
  }

  #alternatives(): PatternNode {
    const items = [this.#sequence()];
    while (this.#take('|')) items.push(this.#sequence());
    return items.length === 1 ? items[0]! : { type: 'alt', items };
  }

  #sequence(): PatternNode {
    const items: PatternNode[] = [];
    for (let char = this.#peek(); char !== undefined && char !== '|' && char !== ')'; char = this.#peek()) items.push(this.#term());
    return items.length === 1 ? items[0]! : { type: 'concat', items };
  }

  #term(): PatternNode {
    if (this.#take('^')) return { type: 'start' };
    if (this.#take('$')) return { type: 'end' };
    const item = this.#atom();
    const counts = this.#quantifier();
    if (counts === null) return item;
    if (item.type === 'look') throw this.#wrong('a repeated look-ahead');
    this.#take('?'); // lazy: the same texts match
    return { type: 'repeat', item, ...counts };
  }

  #atom(): PatternNode {
    const char = this.#next('a character');
    if (char === '.') return { type: 'set', set: NOT_NEWLINE };
    if (char === '(') return this.#group();
    if (char === '[') return { type: 'set', set: this.#bracket() };
    if (char === '\\') return { type: 'set', set: this.#escape(false) };
    if (char === '*' || char === '+' || char === '?') throw this.#wrong(`nothing to repeat before "${char}"`);
    return { type: 'set', set: chars(char) };
  }

  #group(): PatternNode {
    if (++this.#depth > MAX_DEPTH) throw this.#wrong(`more than ${MAX_DEPTH} groups in each other`);
    let look: boolean | null = null;
    if (this.#take('?')) {
      const kind = this.#next('a kind of group');
      if (kind === '=' || kind === '!') look = kind === '!';
      else if (kind === '<' && /[=!]/.test(this.#peek() ?? '')) throw this.#wrong('a look-behind, which is not supported');
      else if (kind === '<' || (kind === 'P' && this.#take('<'))) while (this.#next('the end of a group name') !== '>');
      else if (kind !== ':') throw this.#wrong(`the unknown group "(?${kind}"`);
    }
    const item = this.#alternatives();
    if (!this.#take(')')) throw this.#wrong('a "(" without ")"');
    this.#depth -= 1;
    return look === null ? item : { type: 'look', isNegative: look, item };
  }

  #quantifier(): { min: number; max: number | null } | null {
    if (this.#take('*')) return { min: 0, max: null };
    if (this.#take('+')) return { min: 1, max: null };
    if (this.#take('?')) return { min: 0, max: 1 };
    const counts = /^\{(\d+)(,?)(\d*)\}/.exec(this.#chars.slice(this.#at, this.#at + 24).join(''));
    if (!counts) return null;
    this.#at += counts[0].length;
    const min = Number(counts[1]);
    const max = counts[2] === '' ? min : counts[3] === '' ? null : Number(counts[3]);
    if (max !== null && max < min) throw this.#wrong('a repeat with its numbers out of order');
    if (Math.max(min, max ?? 0) > MAX_REPEAT) throw this.#wrong(`a repeat of more than ${MAX_REPEAT}`);
    return { min, max };
  }

  #bracket(): CharSet {
    const isNegative = this.#take('^');
    const parts: CharSet[] = [];
    while (!this.#take(']')) {
      const first = this.#bracketItem();
      const isRange = this.#peek() === '-' && this.#chars[this.#at + 1] !== ']' && this.#at + 1 < this.#chars.length;
      if (!isRange) {
        parts.push(first);
        continue;
      }
      this.#at += 1;
      parts.push(charSet(this.#rangeOf(first, this.#bracketItem())));
    }
    return isNegative ? complement(unionOf(...parts)) : unionOf(...parts);
  }

  #bracketItem(): CharSet {
    const char = this.#next('a "]"');
    return char === '\\' ? this.#escape(true) : chars(char);
  }

  #rangeOf(first: CharSet, last: CharSet): CharRange {
    const [from, to] = [first[0]![0], last[0]![1]];
    if (!isOneChar(first) || !isOneChar(last)) throw this.#wrong('a range from or to a class of characters');
    if (to < from) throw this.#wrong('a range with its ends out of order');
    return [from, to];
  }

  #escape(isInBracket: boolean): CharSet {
    const char = this.#next('a character after the backslash');
    const known = CLASSES[char];
    if (known) return known;
    const control = CONTROLS[char];
    if (control !== undefined) return chars(control);
    if (char === 'b' && isInBracket) return chars('\b');
    if (char === 'x') return this.#hex(2);
    if (char === 'u') return this.#take('{') ? this.#longHex() : this.#hex(4);
    if (char === 'c') return chars(String.fromCodePoint(this.#next('a letter').codePointAt(0)! & 31));
    if (/[a-zA-Z1-9]/.test(char)) throw this.#wrong(`"\\${char}", which is not supported`);
    return chars(char);
  }

  #hex(numDigits: number): CharSet {
    const digits = this.#chars.slice(this.#at, this.#at + numDigits).join('');
    if (!/^[0-9a-fA-F]+$/.test(digits) || digits.length < numDigits) throw this.#wrong('an escape without its hexadecimal digits');
    this.#at += numDigits;
    const code = Number.parseInt(digits, 16);
    const isPair = code >= 0xd800 && code < 0xdc00 && this.#peek() === '\\' && this.#chars[this.#at + 1] === 'u';
    if (!isPair) return charSet([code, code]);
    this.#at += 2;
    const low = this.#hex(4)[0]![0];
    const whole = 0x10000 + (code - 0xd800) * 1024 + (low - 0xdc00);
    return charSet([whole, whole]);
  }

  #longHex(): CharSet {
    let digits = '';
    for (let char = this.#next('a "}"'); char !== '}'; char = this.#next('a "}"')) digits += char;
    const code = Number.parseInt(digits, 16);
    if (!/^[0-9a-fA-F]{1,8}$/.test(digits) || code > 0x10ffff) throw this.#wrong(`the unknown character \\u{${digits.slice(0, 12)}}`);
    return charSet([code, code]);
  }

  #peek(): string | undefined {
    return this.#chars[this.#at];
  }

  #take(char: string): boolean {
    if (this.#chars[this.#at] !== char) return false;
    this.#at += 1;
    return true;
  }

  #next(expected: string): string {
    const char = this.#chars[this.#at];
    if (char === undefined) throw this.#wrong(`no end: ${expected} is missing`);
    this.#at += 1;
    return char;
  }

  #wrong(what: string): ConstraintError {
    return new ConstraintError(`The pattern ${shortened(this.#chars.join(''))} has ${what} (at character ${this.#at}).`);
  }
}

const isOneChar = (charsOf: CharSet): boolean => charsOf.length === 1 && charsOf[0]![0] === charsOf[0]![1];

export const shortened = (value: string): string => JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);

/** The tree without anchors and look-aheads; null where it has any. */
export function plainNode(node: PatternNode): RegexNode | null {
  switch (node.type) {
    case 'set':
      return set(node.set);
    case 'start':
    case 'end':
    case 'look':
      return null;
    case 'repeat': {
      const item = plainNode(node.item);
      return item && repeat(item, node.min, node.max);
    }
    case 'concat':
    case 'alt': {
      if (node.items.length === 0) return EMPTY;
      const items = node.items.map(plainNode);
      if (items.includes(null)) return null;
      return node.type === 'concat' ? concat(...(items as RegexNode[])) : alt(...(items as RegexNode[]));
    }
    default:
      return node satisfies never;
  }
}

export const ANY_PATTERN: PatternNode = { type: 'repeat', item: { type: 'set', set: ANY_CHAR }, min: 0, max: null };
