/** Sets of Unicode code points as sorted, disjoint, non-adjacent ranges. */

export type CharRange = readonly [first: number, last: number];
export type CharSet = readonly CharRange[];

const LAST = 0x10ffff;

/** Every code point but the surrogates, which no UTF-8 text holds. */
export const ANY_CHAR: CharSet = [
  [0, 0xd7ff],
  [0xe000, LAST],
];

export function charSet(...ranges: readonly CharRange[]): CharSet {
  const sorted = [...ranges].sort((a, b) => a[0] - b[0]);
  const merged: [number, number][] = [];
  for (const [first, last] of sorted) {
    const previous = merged.at(-1);
    if (previous && first <= previous[1] + 1) previous[1] = Math.max(previous[1], last);
    else merged.push([first, last]);
  }
  return merged;
}

/** The characters of a string. */
export const chars = (text: string): CharSet =>
  charSet(...Array.from(text, (char): CharRange => [char.codePointAt(0)!, char.codePointAt(0)!]));

export const unionOf = (...sets: readonly CharSet[]): CharSet => charSet(...sets.flat());

export function intersection(a: CharSet, b: CharSet): CharSet {
  const common: CharRange[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const first = Math.max(a[i]![0], b[j]![0]);
    const last = Math.min(a[i]![1], b[j]![1]);
    if (first <= last) common.push([first, last]);
    if (a[i]![1] < b[j]![1]) i += 1;
    else j += 1;
  }
  return common;
}

/** All of ANY_CHAR that is not in `set`. */
export function complement(set: CharSet): CharSet {
  const outside: CharRange[] = [];
  let next = 0;
  for (const [first, last] of set) {
    if (first > next) outside.push([next, first - 1]);
    next = last + 1;
  }
  if (next <= LAST) outside.push([next, LAST]);
  return intersection(outside, ANY_CHAR);
}

export const contains = (set: CharSet, char: number): boolean => set.some(([first, last]) => first <= char && char <= last);
