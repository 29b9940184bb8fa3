/** Where Python's strings differ from JavaScript's: white space, code points, case, lines. */
import { spend, spendText } from './work.ts';

const SPACES = new Set(
  '\t\n\v\f\r\u001c\u001d\u001e\u001f \u0085\u00a0\u1680\u2028\u2029\u202f\u205f\u3000\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a',
);

/** What `str.isspace` holds for; JavaScript's `\s` lacks U+001C … U+001F and U+0085 and has U+FEFF. */
export function isSpace(character: string): boolean {
  return SPACES.has(character);
}

export function trimStart(text: string, characters: string | null = null): string {
  const points = [...text];
  let at = 0;
  while (at < points.length && isTrimmed(points[at]!, characters)) at += 1;
  return points.slice(at).join('');
}

export function trimEnd(text: string, characters: string | null = null): string {
  const points = [...text];
  let end = points.length;
  while (end > 0 && isTrimmed(points[end - 1]!, characters)) end -= 1;
  return points.slice(0, end).join('');
}

export function trim(text: string, characters: string | null = null): string {
  return trimStart(trimEnd(text, characters), characters);
}

function isTrimmed(character: string, characters: string | null): boolean {
  if (characters === null) return isSpace(character);
  spendText(4 * characters.length);
  return [...characters].includes(character);
}

/** `str.capitalize` */
export function capitalize(text: string): string {
  const [first = '', ...rest] = [...text];
  return first.toUpperCase() + rest.join('').toLowerCase();
}

/** `str.title`: a letter after anything that is no letter is upper case, all others are lower case. */
export function titleCase(text: string): string {
  let isInWord = false;
  return [...text]
    .map((character) => {
      const isLetter = character.toLowerCase() !== character.toUpperCase();
      const changed = !isLetter ? character : isInWord ? character.toLowerCase() : character.toUpperCase();
      isInWord = isLetter;
      return changed;
    })
    .join('');
}

/** `str.splitlines()` */
export function splitLines(text: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const character of text.replaceAll('\r\n', '\n')) {
    if (!LINE_ENDS.has(character)) line += character;
    else {
      lines.push(line);
      line = '';
    }
  }
  return line === '' ? lines : [...lines, line];
}

const LINE_ENDS = new Set('\n\r\v\f\u001c\u001d\u001e\u0085\u2028\u2029');

/** `str.split(sep, maxsplit)`; a negative limit is none. */
export function split(text: string, separator: string | null, limit: number): string[] {
  const parts: string[] = [];
  if (separator !== null) {
    let at = 0;
    for (let found = text.indexOf(separator); found >= 0 && (limit < 0 || parts.length < limit); found = text.indexOf(separator, at)) {
      spend(1);
      parts.push(text.slice(at, found));
      at = found + separator.length;
    }
    return [...parts, text.slice(at)];
  }
  const points = [...text];
  let at = 0;
  const skip = (isWanted: (character: string) => boolean): void => {
    while (at < points.length && isWanted(points[at]!)) at += 1;
  };
  for (skip(isSpace); at < points.length; skip(isSpace)) {
    if (limit >= 0 && parts.length >= limit) return [...parts, points.slice(at).join('')];
    const start = at;
    skip((character) => !isSpace(character));
    parts.push(points.slice(start, at).join(''));
  }
  return parts;
}

/** `str.rsplit(sep, maxsplit)` with a separator. */
export function splitFromEnd(text: string, separator: string, limit: number): string[] {
  if (limit < 0) return split(text, separator, -1);
  const all = split(text, separator, -1);
  const numTail = Math.min(limit, all.length - 1);
  return [all.slice(0, all.length - numTail).join(separator), ...all.slice(all.length - numTail)];
}

/** `str.replace(old, new, count)`; a negative count is all. An empty `old` matches between all characters, as in Python. */
export function replace(text: string, old: string, replacement: string, count: number): string {
  if (count === 0) return text;
  if (old === '') {
    const points = [...text];
    const limit = count < 0 ? points.length + 1 : count;
    spendText(Math.min(limit, points.length + 1) * replacement.length);
    return points.map((point, i) => (i < limit ? replacement : '') + point).join('') + (points.length < limit ? replacement : '');
  }
  return joinTexts(split(text, old, count), replacement);
}

/** `separator.join(texts)` */
export function joinTexts(texts: readonly string[], separator: string): string {
  spendText(texts.reduce((sum, text) => sum + text.length + separator.length, 0));
  return texts.join(separator);
}

/** Order by code point, which is not the order of UTF-16 units above U+FFFF. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  const left = [...a];
  const right = [...b];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = left[i]!.codePointAt(0)! - right[i]!.codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
