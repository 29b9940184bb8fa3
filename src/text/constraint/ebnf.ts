/** XGrammar's EBNF, written piece by piece: literals, classes of characters, and rules that are named once per content. */
import { type CharSet, intersection } from './char-set.ts';
import { ConstraintError } from './constraint-error.ts';
import { utf8Sequences } from './utf8-ranges.ts';
import { spend } from './work-limit.ts';

/** Longest grammar in characters: the compiler takes seconds for more. */
const MAX_GRAMMAR = 200_000;

export class EbnfWriter {
  readonly #rules = new Map<string, string>();
  readonly #namesByBody = new Map<string, string>();
  #size = 0;
  #count = 0;

  /** A name nobody else has; its rule follows with `define`. */
  newName(kind: string): string {
    this.#count += 1;
    return `${kind}_${this.#count}`;
  }

  has(name: string): boolean {
    return this.#rules.has(name);
  }

  define(name: string, body: string): void {
    spend(1 + body.length / 50);
    this.#size += name.length + body.length + 6;
    if (this.#size > MAX_GRAMMAR)
      throw new ConstraintError('The grammar of this request is too large: make its schema, choices or patterns smaller');
    this.#rules.set(name, body);
  }

  /** The name of the rule with this body; equal bodies share one. */
  rule(kind: string, body: string): string {
    const known = this.#namesByBody.get(body);
    if (known !== undefined) return known;
    const name = this.newName(kind);
    this.#namesByBody.set(body, name);
    this.define(name, body);
    return name;
  }

  /** The whole grammar; it starts with `start`. */
  grammar(start: string): string {
    return [`root ::= ${start}`, ...Array.from(this.#rules, ([name, body]) => `${name} ::= ${body}`)].join('\n');
  }
}

/** Exactly this text, in quotes; the empty text is `""`. */
export const literal = (text: string): string => `"${Array.from(text, escaped).join('')}"`;

/** ASCII characters of the set; null when it has none. */
export function asciiClass(set: CharSet): string | null {
  const ascii = intersection(set, ASCII);
  return ascii.length === 0 ? null : bracket(ascii);
}

/** The set's characters beyond ASCII, as a rule; null when it has none. */
export function beyondAscii(set: CharSet, writer: EbnfWriter): string | null {
  const sequences = byteSequences(set);
  return sequences.length === 0 ? null : writer.rule('utf8', sequences.join(' | '));
}

const byteSequences = (set: CharSet): string[] =>
  utf8Sequences(intersection(set, BEYOND_ASCII)).map((sequence) => sequence.map((range) => bracket([range])).join(' '));

/** One character of the set, without rules of its own. */
export function oneOfInline(set: CharSet): string {
  const ascii = asciiClass(set);
  return `(${[...(ascii === null ? [] : [ascii]), ...byteSequences(set)].join(' | ')})`;
}

/** One character of the set, as an expression. */
export function oneOf(set: CharSet, writer: EbnfWriter): string {
  const parts = [asciiClass(set), beyondAscii(set, writer)].filter((part) => part !== null);
  return parts.length === 1 ? parts[0]! : `(${parts.join(' | ')})`;
}

const ASCII: CharSet = [[0, 0x7f]];
const BEYOND_ASCII: CharSet = [
  [0x80, 0xd7ff],
  [0xe000, 0x10ffff],
];

/** Members of a class; a single one stands twice, or the compiler would take it for a text. */
function bracket(ranges: readonly (readonly [first: number, last: number])[]): string {
  const members = ranges.map(([first, last]) => {
    const [from, to] = [escaped(String.fromCodePoint(first)), escaped(String.fromCodePoint(last))];
    return first === last ? (first < 0x80 ? from : from + to) : `${from}-${to}`;
  });
  return `[${members.join('')}]`;
}

/** Letters, digits, spaces and a few signs stand for themselves, in quotes and in brackets. (`\\x` takes as many digits as follow.) */
function escaped(char: string): string {
  if (/^[A-Za-z0-9 _:,.{}<>/=]$/.test(char)) return char;
  const code = char.codePointAt(0)!;
  if (code < 0x10000) return `\\u${code.toString(16).padStart(4, '0')}`;
  return `\\U${code.toString(16).padStart(8, '0')}`;
}
