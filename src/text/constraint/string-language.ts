/** Texts that fit lengths and patterns, as grammar: in JSON quotes with JSON's escapes, or as they are. */
import { type Automaton, accepts, automatonOf, bothOf, differenceOf, isEmpty } from './automaton.ts';
import { ANY_CHAR, type CharSet, chars, complement, contains, intersection } from './char-set.ts';
import { ConstraintError } from './constraint-error.ts';
import { asciiClass, beyondAscii, type EbnfWriter, literal, oneOf } from './ebnf.ts';
import { concat, lengthsOf, type RegexNode, repeat, set, text } from './regex-node.ts';
import { hasWork, WorkLimitError, withWorkLimit } from './work-limit.ts';

export interface StringShape {
  /** In Unicode characters. */
  readonly minLength: number;
  readonly maxLength: number | null;
  /** All of these match the whole text … */
  readonly every: readonly RegexNode[];
  /** … and none of these does. */
  readonly none: readonly RegexNode[];
}

export const ANY_STRING: StringShape = { minLength: 0, maxLength: null, every: [], none: [] };

/**
 * Characters are counted in blocks of so many. A rule per character costs the compiler 2 ms each with 4,096 tokens, and more with more; the
 * shorter the blocks, the longer every mask takes: for 200 characters 361 ms and 0.04 ms without blocks, 100 and 0.5 with 32, 15 and 1.6
 * with 8.
 */
const BLOCK = 16;
const PAGE = BLOCK * BLOCK;
/** Strings with a larger maximum are never longer than this. */
const MAX_COUNTED = 10_000;
const MAX_LENGTH_BESIDE_PATTERN = 1_000;
const MAX_GRAMMAR_STATES = 300;

const QUOTED = chars('"\\');
const CONTROLS: CharSet = [[0, 0x1f]];
const ESCAPES: readonly (readonly [char: string, escape: string])[] = [
  ['"', '"'],
  ['\\', '\\'],
  ['\b', 'b'],
  ['\f', 'f'],
  ['\n', 'n'],
  ['\r', 'r'],
  ['\t', 't'],
];
/** Stand for themselves in a JSON string. */
const PLAIN = intersection(complement(QUOTED), complement(CONTROLS));
/** What a string with a pattern may hold: everything but control characters that JSON has no short escape for. */
const WRITABLE: CharSet = intersection(
  ANY_CHAR,
  complement([
    [0, 7],
    [11, 11],
    [14, 31],
  ]),
);

/** A JSON string, both quotes included: an expression. @throws ConstraintError when it would be too large. */
export function jsonString(shape: StringShape, writer: EbnfWriter): string {
  const { every, none, minLength, maxLength } = shape;
  if (every.length === 0 && none.length === 0) return plainJsonString(minLength, maxLength, writer);
  const only = isOnePattern(shape) && isPlain(every[0]!) ? every[0]! : null;
  const closed = only && concat(only, text('"'));
  return `"\\"" ${cheapest(closed, ANY_CHAR, writer, () => automatonRules(restricted(languageOfShape(shape)), writer, jsonEdges, '"\\""'))}`;
}

const isOnePattern = ({ every, none, minLength, maxLength }: StringShape): boolean =>
  none.length === 0 && every.length === 1 && minLength === 0 && maxLength === null;

/** Whether it matches something, and only characters that need no escape. */
function isPlain(node: RegexNode): boolean {
  if (node.type === 'set') return node.set.length > 0 && intersection(node.set, complement(PLAIN)).length === 0;
  if (node.type === 'repeat') return isPlain(node.item);
  return (node.type === 'concat' || node.items.length > 0) && node.items.every(isPlain);
}

/** A text as it is (guided_regex): an expression. */
export function plainText(every: readonly RegexNode[], none: readonly RegexNode[], writer: EbnfWriter): string {
  const only = every.length === 1 && none.length === 0 ? every[0]! : null;
  return cheapest(only, ANY_CHAR, writer, () => {
    const language = languageOfShape({ ...ANY_STRING, every, none });
    if (isEmpty(language)) throw new ConstraintError('No text matches the pattern');
    return automatonText(language, writer);
  });
}

/** Whether a string has this shape. */
export function fitsString(value: string, shape: StringShape): boolean {
  const length = Array.from(value).length;
  if (length < shape.minLength || (shape.maxLength !== null && length > shape.maxLength)) return false;
  return shape.every.every((node) => accepts(automatonOf(node), value)) && !shape.none.some((node) => accepts(automatonOf(node), value));
}

export function isImpossibleString(shape: StringShape): boolean {
  if (shape.maxLength !== null && shape.minLength > shape.maxLength) return true;
  if (shape.every.length === 0 && shape.none.length === 0) return false;
  if (isOnePattern(shape) && isPlain(shape.every[0]!)) return false;
  return isEmpty(restricted(languageOfShape(shape)));
}

/** The texts of a shape as one automaton; lengths that the patterns imply cost nothing. */
export function languageOfShape(shape: StringShape): Automaton {
  const made = languages.get(shape);
  if (made) return made;
  const language = combined(shape);
  languages.set(shape, language);
  return language;
}

const languages = new WeakMap<StringShape, Automaton>();

function combined({ every, none, minLength, maxLength }: StringShape): Automaton {
  const lengths = every.map(lengthsOf);
  const isLongEnough = lengths.some(({ min }) => min >= minLength);
  const isShortEnough = maxLength === null || lengths.some(({ max }) => max !== null && max <= maxLength);
  const parts = [...every];
  if (!isLongEnough || !isShortEnough || every.length === 0) {
    const max = isShortEnough ? null : maxLength;
    if (Math.max(max ?? 0, minLength) > MAX_LENGTH_BESIDE_PATTERN) {
      throw new ConstraintError(`A length above ${MAX_LENGTH_BESIDE_PATTERN} beside a pattern or format is not supported`);
    }
    parts.push(repeat(set(ANY_CHAR), minLength, max));
  }
  return none.reduce((language, node) => differenceOf(language, automatonOf(node)), parts.map(automatonOf).reduce(bothOf));
}

/** Without the characters that no JSON string of ours holds. */
function restricted(language: Automaton): Automaton {
  const isPlain = language.states.every(({ edges }) => edges.every(([first, last]) => first >= 0x20 && last < 0x80));
  return isPlain ? language : bothOf(language, automatonOf(WRITABLE_TEXT));
}

const WRITABLE_TEXT = repeat(set(WRITABLE), 0, null);

/**
 * One rule per state. Each ends with the closing text inside: rules that end one after another would cost the matcher time that grows
 * with the length of the text.
 */
function automatonRules({ states }: Automaton, writer: EbnfWriter, edgesOf: EdgesOf, end: string): string {
  if (states.length > MAX_GRAMMAR_STATES) {
    throw new ConstraintError(
      `A pattern or its combination with lengths takes ${states.length} states, more than ${MAX_GRAMMAR_STATES}: shorter repeats would help`,
    );
  }
  const names = states.map(() => writer.newName('text'));
  states.forEach(({ isAccepting, edges }, index) => {
    const targets = new Map<number, [number, number][]>();
    for (const [first, last, target] of edges) {
      const known = targets.get(target);
      if (known) known.push([first, last]);
      else targets.set(target, [[first, last]]);
    }
    const choices = [...targets].flatMap(([target, ranges]) => edgesOf(ranges, names[target]!, writer));
    if (isAccepting) choices.push(end);
    writer.define(names[index]!, choices.join(' | '));
  });
  return names[0]!;
}

type EdgesOf = (chars: CharSet, target: string, writer: EbnfWriter) => readonly string[];

const plainEdges: EdgesOf = (chars, target, writer) =>
  [asciiClass(chars), beyondAscii(chars, writer)].filter((part) => part !== null).map((part) => `${part} ${target}`);

const jsonEdges: EdgesOf = (chars, target, writer) => {
  const escapes = ESCAPES.filter(([char]) => contains(chars, char.charCodeAt(0))).map(([, sign]) => sign);
  return [
    ...plainEdges(intersection(chars, PLAIN), target, writer),
    ...(escapes.length > 0 ? [`"\\\\" ${classOf(escapes)} ${target}`] : []),
  ];
};

const classOf = (characters: readonly string[]): string =>
  `[${characters.map((char) => (char === '"' ? '\\"' : char === '\\' ? '\\\\' : char)).join('')}]`;

/** A character of a JSON string and what follows it. Escapes that name a character by its number are left to free strings. */
const charThen = (target: string, writer: EbnfWriter): string => jsonEdges(WRITABLE, target, writer).join(' | ');

function plainJsonString(minLength: number, maxLength: number | null, writer: EbnfWriter): string {
  if (minLength > MAX_COUNTED) throw new ConstraintError(`A "minLength" above ${MAX_COUNTED} is not supported`);
  const most = maxLength === null ? null : Math.min(maxLength, MAX_COUNTED);
  const rest = most === null ? freeRest(writer) : atMost(most - minLength, writer);
  return `"\\"" ${exactly(minLength, rest, writer)}`;
}

/** So many characters and then `rest`, which ends with the closing quote. */
function exactly(numChars: number, rest: string, writer: EbnfWriter): string {
  for (let left = 0; left < numChars % BLOCK; left++) rest = writer.rule('chars', charThen(rest, writer));
  const numBlocks = Math.floor(numChars / BLOCK);
  return [...repeated(page, Math.floor(numBlocks / BLOCK), writer), ...repeated(block, numBlocks % BLOCK, writer), rest].join(' ');
}

const repeated = (part: (writer: EbnfWriter) => string, count: number, writer: EbnfWriter): string[] =>
  count === 0 ? [] : [`${part(writer)}{${count}}`];

/** Up to so many characters and the closing quote: whole pages, then whole blocks, then less than one. */
function atMost(numChars: number, writer: EbnfWriter): string {
  const few = [writer.rule('chars', '"\\""')];
  for (let count = 1; count < Math.min(numChars + 1, BLOCK); count++) {
    few.push(writer.rule('chars', `${charThen(few[count - 1]!, writer)} | "\\""`));
  }
  const upTo = (numBlocks: number, numFew: number): string => {
    let rest = few[numFew]!;
    for (let blocks = 0; blocks < numBlocks; blocks++) rest = writer.rule('chars', `${block(writer)} ${rest} | ${few.at(-1)}`);
    return rest;
  };
  const numPages = Math.floor(numChars / PAGE);
  let rest = upTo(Math.floor((numChars % PAGE) / BLOCK), numChars % BLOCK);
  const lessThanPage = numPages > 0 ? upTo(BLOCK - 1, BLOCK - 1) : '';
  for (let pages = 0; pages < numPages; pages++) rest = writer.rule('chars', `${page(writer)} ${rest} | ${lessThanPage}`);
  return rest;
}

/** Exactly BLOCK characters. */
function block(writer: EbnfWriter): string {
  const name = 'whole_block';
  if (writer.has(name)) return name;
  let rest = '""';
  for (let count = 1; count < BLOCK; count++) rest = writer.rule('block', charThen(rest, writer));
  writer.define(name, charThen(rest, writer));
  return name;
}

/** Exactly PAGE characters. */
const page = (writer: EbnfWriter): string => writer.rule('page', `${block(writer)}{${BLOCK}}`);

/** Any characters up to the closing quote. Surrogates are escaped in pairs only: half a pair is no character. */
function freeRest(writer: EbnfWriter): string {
  const hex = '[0-9a-fA-F]';
  const name = 'string_rest';
  if (writer.has(name)) return name;
  const unit = [
    `[0-9a-cA-CefEF] ${hex} ${hex} ${hex} ${name}`,
    `[dD] [0-7] ${hex} ${hex} ${name}`,
    `[dD] [89abAB] ${hex} ${hex} "\\\\u" [dD] [c-fC-F] ${hex} ${hex} ${name}`,
  ].join(' | ');
  writer.define('string_escape', `["\\\\/bfnrt] ${name} | "u" string_unit`);
  writer.define('string_unit', unit);
  writer.define(name, [...plainEdges(PLAIN, name, writer), '"\\\\" string_escape', '"\\""'].join(' | '));
  return name;
}

/**
 * A tree as it stands where that is cheap, else as states, which keep the matcher's time the same for every character. What has too many
 * states is written as it stands all the same. Null = not a single tree.
 */
function cheapest(tree: RegexNode | null, allowed: CharSet, writer: EbnfWriter, asStates: () => string): string {
  const cheap = tree && directly(tree, allowed, writer, MAX_GROUP_REPEAT);
  if (cheap !== null) return cheap;
  try {
    return withWorkLimit(MAX_STATES_WORK, asStates);
  } catch (error) {
    const isTooMuch = error instanceof ConstraintError && (!(error instanceof WorkLimitError) || hasWork(0));
    const slow = tree && isTooMuch && expandedSize(tree) <= MAX_EXPANDED && directly(tree, allowed, writer, MAX_REPEAT);
    if (slow) return slow;
    throw error;
  }
}

const MAX_STATES_WORK = 100_000;
/** Of a tree whose repeats are written out: more takes the compiler seconds. */
const MAX_EXPANDED = 10_000;

function expandedSize(node: RegexNode): number {
  if (node.type === 'set') return 1;
  if (node.type === 'repeat') return expandedSize(node.item) * Math.max(1, node.max ?? node.min + 1);
  return node.items.reduce((size, item) => size + expandedSize(item), 0);
}

/** Groups that are repeated more often than this cost the matcher time that grows with the text. */
const MAX_GROUP_REPEAT = 4;
const MAX_REPEAT = 1_000;

/** Repeats of ASCII characters, and groups repeated at most `maxRepeat` times (endlessly only above MAX_GROUP_REPEAT). Null for others. */
function directly(node: RegexNode, allowed: CharSet, writer: EbnfWriter, maxRepeat: number): string | null {
  switch (node.type) {
    case 'set':
      return node.set.length === 0 || intersection(node.set, complement(allowed)).length > 0 ? null : oneOf(node.set, writer);
    case 'concat': {
      const items = node.items.map((item) => directly(item, allowed, writer, maxRepeat));
      return items.includes(null) ? null : items.length === 0 ? '""' : items.join(' ');
    }
    case 'alt': {
      const items = node.items.map((item) => directly(item, allowed, writer, maxRepeat));
      return items.includes(null) || items.length === 0 ? null : `(${items.join(' | ')})`;
    }
    case 'repeat': {
      const item = directly(node.item, allowed, writer, maxRepeat);
      const isCheap = isAsciiSet(node.item) || (node.max === null ? maxRepeat > MAX_GROUP_REPEAT : node.max <= maxRepeat);
      if (item === null || !isCheap) return null;
      const counts = node.max === null ? (node.min === 0 ? '*' : node.min === 1 ? '+' : `{${node.min},}`) : `{${node.min},${node.max}}`;
      return `(${item})${counts}`;
    }
    default:
      return node satisfies never;
  }
}

const isAsciiSet = (node: RegexNode): boolean => node.type === 'set' && node.set.every(([, last]) => last < 0x80);

/** A number or another text without quotes, as an expression. */
export function bareText(node: RegexNode, writer: EbnfWriter): string {
  const direct = directly(node, ANY_CHAR, writer, MAX_GROUP_REPEAT);
  return direct === null ? automatonText(automatonOf(node), writer) : writer.rule('bare', direct);
}

export const automatonText = (automaton: Automaton, writer: EbnfWriter): string => automatonRules(automaton, writer, plainEdges, '""');

export const jsonLiteral = (value: string): string => literal(JSON.stringify(value));
