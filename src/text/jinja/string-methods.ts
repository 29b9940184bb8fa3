/** The methods of `str`. Templates lean on split, strip and startswith; the rest follows Python's documentation. */
import { bind, requireInteger, requireText } from './arguments.ts';
import { TemplateError } from './errors.ts';
import { formatBraces } from './format.ts';
import {
  capitalize,
  isSpace,
  joinTexts,
  replace,
  split,
  splitFromEnd,
  splitLines,
  titleCase,
  trim,
  trimEnd,
  trimStart,
} from './python-text.ts';
import { type Arguments, Callable, itemsOf, Tuple, type Value } from './values.ts';
import { spendText } from './work.ts';

type Method = (text: string, args: Arguments) => Value;

/** The bound method, or undefined when Python's `str` has none of that name. @throws TemplateError for one that is not supported. */
export function stringMethod(text: string, name: string): Callable | undefined {
  const method = METHODS.get(name);
  if (method !== undefined) {
    return new Callable(name, (args) => {
      if (args.keyword.size > 0 && !WITH_KEYWORDS.has(name)) throw new TemplateError(`str.${name} takes no keyword arguments`);
      spendText(4 * text.length);
      return method(text, args);
    });
  }
  if (UNSUPPORTED.has(name)) throw new TemplateError(`str.${name} is not supported`);
  return undefined;
}

const WITH_KEYWORDS = new Set(['format', 'replace', 'rsplit', 'split']);

const UNSUPPORTED = new Set(
  'casefold encode expandtabs format_map isascii isdecimal isidentifier isnumeric isprintable istitle maketrans swapcase translate'.split(
    ' ',
  ),
);

const plain =
  (change: (text: string) => Value): Method =>
  (text, args) => {
    bind('a string method', args, {});
    return change(text);
  };

const stripping =
  (change: (text: string, characters: string | null) => string): Method =>
  (text, args) => {
    const { chars } = bind('strip', args, { chars: null });
    return change(text, chars === null ? null : requireText('the characters to strip', chars));
  };

/** `s.startswith(prefix)`, where the prefix may be a tuple of several. */
const affix =
  (isThere: (text: string, affix: string) => boolean): Method =>
  (text, args) => {
    const { affix } = bind('startswith or endswith', args, { affix: undefined });
    const candidates = affix instanceof Tuple ? affix.items : [affix];
    return candidates.some((candidate) => isThere(text, requireText('the prefix or suffix', candidate)));
  };

const search =
  (find: (text: string, part: string) => number, isRequired: boolean): Method =>
  (text, args) => {
    const { sub } = bind('find or index', args, { sub: undefined });
    const at = find(text, requireText('the text to find', sub));
    if (at < 0 && isRequired) throw new TemplateError('substring not found');
    return at < 0 ? -1 : [...text.slice(0, at)].length;
  };

const splitting =
  (isFromEnd: boolean): Method =>
  (text, args) => {
    const { sep, maxsplit } = bind('split', args, { sep: null, maxsplit: -1 });
    const limit = requireInteger('maxsplit', maxsplit);
    if (sep === null) {
      if (isFromEnd && limit >= 0) throw new TemplateError('rsplit with a limit and no separator is not supported');
      return split(text, null, limit);
    }
    const separator = requireText('the separator', sep);
    if (separator === '') throw new TemplateError('empty separator');
    return isFromEnd ? splitFromEnd(text, separator, limit) : split(text, separator, limit);
  };

const partitioning =
  (isFromEnd: boolean): Method =>
  (text, args) => {
    const separator = requireText('the separator', bind('partition', args, { sep: undefined }).sep);
    if (separator === '') throw new TemplateError('empty separator');
    const at = isFromEnd ? text.lastIndexOf(separator) : text.indexOf(separator);
    if (at < 0) return new Tuple(isFromEnd ? ['', '', text] : [text, '', '']);
    return new Tuple([text.slice(0, at), separator, text.slice(at + separator.length)]);
  };

const padding =
  (place: (missing: number) => [number, number]): Method =>
  (text, args) => {
    const { width, fillchar } = bind('ljust, rjust or center', args, { width: undefined, fillchar: ' ' });
    const fill = requireText('the fill character', fillchar);
    const [before, after] = place(Math.max(0, requireInteger('width', width) - [...text].length));
    spendText((before + after) * fill.length);
    return fill.repeat(before) + text + fill.repeat(after);
  };

/** Whether every character is of a kind and there is one. */
const every = (pattern: RegExp): Method => plain((text) => text !== '' && [...text].every((character) => pattern.test(character)));

const METHODS: ReadonlyMap<string, Method> = new Map<string, Method>([
  ['upper', plain((text) => text.toUpperCase())],
  ['lower', plain((text) => text.toLowerCase())],
  ['title', plain(titleCase)],
  ['capitalize', plain(capitalize)],
  ['strip', stripping(trim)],
  ['lstrip', stripping(trimStart)],
  ['rstrip', stripping(trimEnd)],
  ['startswith', affix((text, prefix) => text.startsWith(prefix))],
  ['endswith', affix((text, suffix) => text.endsWith(suffix))],
  ['removeprefix', (text, args) => removeAffix(text, args, true)],
  ['removesuffix', (text, args) => removeAffix(text, args, false)],
  ['find', search((text, part) => text.indexOf(part), false)],
  ['rfind', search((text, part) => text.lastIndexOf(part), false)],
  ['index', search((text, part) => text.indexOf(part), true)],
  ['rindex', search((text, part) => text.lastIndexOf(part), true)],
  ['count', countMethod],
  ['split', splitting(false)],
  ['rsplit', splitting(true)],
  ['splitlines', plain(splitLines)],
  ['partition', partitioning(false)],
  ['rpartition', partitioning(true)],
  ['replace', replaceMethod],
  [
    'join',
    (text, args) => {
      const items = itemsOf(bind('join', args, { iterable: undefined }).iterable);
      return joinTexts(
        items.map((item) => requireText('what is joined', item)),
        text,
      );
    },
  ],
  ['ljust', padding((missing) => [0, missing])],
  ['rjust', padding((missing) => [missing, 0])],
  ['zfill', zeroFill],
  ['center', centered],
  ['format', formatBraces],
  ['isdigit', every(/\p{Nd}/u)],
  ['isalpha', every(/\p{L}/u)],
  ['isalnum', every(/[\p{L}\p{N}]/u)],
  ['isspace', plain((text) => text !== '' && [...text].every(isSpace))],
  ['isupper', plain((text) => text === text.toUpperCase() && text !== text.toLowerCase())],
  ['islower', plain((text) => text === text.toLowerCase() && text !== text.toUpperCase())],
]);

function removeAffix(text: string, args: Arguments, isPrefix: boolean): string {
  const affix = requireText('the affix', bind('removeprefix or removesuffix', args, { affix: undefined }).affix);
  if (isPrefix) return text.startsWith(affix) ? text.slice(affix.length) : text;
  return affix !== '' && text.endsWith(affix) ? text.slice(0, -affix.length) : text;
}

function countMethod(text: string, args: Arguments): number {
  const part = requireText('the text to count', bind('count', args, { sub: undefined }).sub);
  return part === '' ? [...text].length + 1 : split(text, part, -1).length - 1;
}

function replaceMethod(text: string, args: Arguments): string {
  const { old, new: replacement, count } = bind('replace', args, { old: undefined, new: undefined, count: -1 });
  return replace(text, requireText('the old text', old), requireText('the new text', replacement), requireInteger('count', count));
}

function zeroFill(text: string, args: Arguments): string {
  const missing = requireInteger('width', bind('zfill', args, { width: undefined }).width) - [...text].length;
  const sign = /^[-+]/.test(text) ? text[0]! : '';
  spendText(Math.max(0, missing));
  return missing <= 0 ? text : sign + '0'.repeat(missing) + text.slice(sign.length);
}

/** CPython puts the odd blank left when both the width and the missing part are odd. */
function centered(text: string, args: Arguments): Value {
  const width = args.positional[0];
  return padding((missing) => {
    const left = Math.floor(missing / 2) + (missing & (typeof width === 'number' ? width : 0) & 1);
    return [left, missing - left];
  })(text, args);
}
