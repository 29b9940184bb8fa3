/** Regular expressions without anchors, as trees: what patterns, formats, numbers and lengths are turned into before they become grammar. */
import { ANY_CHAR, type CharSet, charSet } from './char-set.ts';

export type RegexNode =
  /** One character of the set; an empty set matches nothing. */
  | { readonly type: 'set'; readonly set: CharSet }
  | { readonly type: 'concat'; readonly items: readonly RegexNode[] }
  /** No item = matches nothing. */
  | { readonly type: 'alt'; readonly items: readonly RegexNode[] }
  /** `max` null = without end. */
  | { readonly type: 'repeat'; readonly item: RegexNode; readonly min: number; readonly max: number | null };

export const EMPTY: RegexNode = { type: 'concat', items: [] };
export const NOTHING: RegexNode = { type: 'alt', items: [] };

export const set = (chars: CharSet): RegexNode => ({ type: 'set', set: chars });
export const range = (first: string, last: string): RegexNode => set(charSet([first.codePointAt(0)!, last.codePointAt(0)!]));
export const concat = (...items: readonly RegexNode[]): RegexNode => (items.length === 1 ? items[0]! : { type: 'concat', items });
export const alt = (...items: readonly RegexNode[]): RegexNode => (items.length === 1 ? items[0]! : { type: 'alt', items });
export const repeat = (item: RegexNode, min: number, max: number | null): RegexNode =>
  min === 1 && max === 1 ? item : { type: 'repeat', item, min, max };
export const optional = (item: RegexNode): RegexNode => repeat(item, 0, 1);

/** Exactly this text. */
export const text = (value: string): RegexNode =>
  concat(...Array.from(value, (char) => set(charSet([char.codePointAt(0)!, char.codePointAt(0)!]))));

export const ANY_TEXT: RegexNode = repeat(set(ANY_CHAR), 0, null);

/** How many characters its matches have; `max` null = without end. Nothing matches: min Infinity. */
export function lengthsOf(node: RegexNode): { readonly min: number; readonly max: number | null } {
  switch (node.type) {
    case 'set':
      return node.set.length === 0 ? { min: Number.POSITIVE_INFINITY, max: 0 } : { min: 1, max: 1 };
    case 'concat': {
      const parts = node.items.map(lengthsOf);
      return {
        min: sum(parts.map(({ min }) => min)),
        max: parts.some(({ max }) => max === null) ? null : sum(parts.map(({ max }) => max!)),
      };
    }
    case 'alt': {
      const parts = node.items.map(lengthsOf);
      return {
        min: Math.min(Number.POSITIVE_INFINITY, ...parts.map(({ min }) => min)),
        max: parts.some(({ max }) => max === null) ? null : Math.max(0, ...parts.map(({ max }) => max!)),
      };
    }
    case 'repeat': {
      const { min, max } = lengthsOf(node.item);
      const isEndless = (max === null && node.max !== 0) || (node.max === null && max !== 0);
      return { min: node.min === 0 ? 0 : min * node.min, max: isEndless ? null : max! * (node.max ?? 0) };
    }
    default:
      return node satisfies never;
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
