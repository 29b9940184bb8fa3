/** Arrays as grammar: fixed places first, then items that repeat; counts, `contains` and unique values are told by states. */
import { ConstraintError, unsupported } from './constraint-error.ts';
import { type EbnfWriter, literal } from './ebnf.ts';
import { COMMA, type Values } from './json-values.ts';
import { joinedSources } from './schema-intersection.ts';
import type { ArrayShape, Sources } from './schema-shape.ts';

const MAX_STATES = 500;
const MAX_UNIQUE_VALUES = 6;
/** Arrays with a larger maximum are never longer than this. */
const MAX_REPEAT = 1_000;

/** The longest array that can be; null = any length. */
function longest({ prefix, rest, maxItems }: ArrayShape, values: Pick<Values, 'isPossible'>): number | null {
  const wrong = prefix.findIndex((sources) => !values.isPossible(sources));
  const room = wrong >= 0 ? wrong : values.isPossible(rest) ? null : prefix.length;
  return room === null ? maxItems : maxItems === null ? room : Math.min(room, maxItems);
}

export function canBeArray(shape: ArrayShape, values: Values): boolean {
  const max = longest(shape, values);
  if (max !== null && max < shape.minItems) return false;
  return shape.contains.every(({ sources, min }) => {
    const places = max === null ? [...shape.prefix, shape.rest] : [...shape.prefix, shape.rest].slice(0, max);
    return (max === null || min <= max) && places.some((place) => values.isPossible(joinedSources(place, sources)));
  });
}

export function arrayBody(shape: ArrayShape, values: Values, writer: EbnfWriter): string {
  const max = longest(shape, values);
  if (shape.uniqueAt !== null && (max === null || max > 1)) return uniqueItems(shape, max, values, writer);
  if (shape.contains.length > 0) return countedItems(shape, max, values, writer);
  return plainItems(shape, max, values, writer);
}

function plainItems({ prefix, rest, minItems }: ArrayShape, max: number | null, values: Values, writer: EbnfWriter): string {
  if (Math.max(minItems, max ?? 0) > MAX_REPEAT)
    throw new ConstraintError(`"minItems" and "maxItems" above ${MAX_REPEAT} are not supported`);
  const numFixed = max === null ? prefix.length : Math.min(prefix.length, max);
  const separator = (index: number) => (index === 0 ? '' : `${COMMA} `);
  let tail = '"]"';
  if (max === null || max > numFixed) {
    const item = values.rule(rest);
    // Behind the fixed places: at least `few` more, at most `many`.
    const few = Math.max(0, minItems - numFixed);
    const many = max === null ? null : max - numFixed;
    if (numFixed > 0) tail = `${repeated(item, few, many)} "]"`;
    else {
      const first = `${item} ${repeated(item, Math.max(0, few - 1), many === null ? null : many - 1)} "]"`;
      tail = few > 0 ? first : `("]" | ${first})`;
    }
  }
  for (let index = numFixed - 1; index >= 0; index--) {
    const more = `${separator(index)}${values.rule(prefix[index]!)} ${tail}`;
    tail = writer.rule('items', index >= minItems ? `"]" | ${more}` : more);
  }
  return `"[" ${tail}`;
}

function repeated(item: string, min: number, max: number | null): string {
  if (max === 0) return '';
  const counts = max === null ? (min === 0 ? '*' : `{${min},}`) : `{${min},${max}}`;
  return `(${COMMA} ${item})${counts}`;
}

/** States: how many items are written, and how many of them matched `contains`, both only as far as it matters. */
function countedItems(shape: ArrayShape, max: number | null, values: Values, writer: EbnfWriter): string {
  const { prefix, rest, minItems, contains } = shape;
  const [wanted, another] = contains;
  if (another) throw unsupported('contains', another.path, 'is supported once per array');
  const last = max ?? Math.max(prefix.length, minItems, 1);
  if ((last + 1) * (wanted!.min + 1) > MAX_STATES) throw unsupported('contains', wanted!.path, 'is not supported for so many items');
  const names = new Map<string, string>();
  const state = (index: number, found: number): string => {
    const key = `${index} ${found}`;
    const known = names.get(key);
    if (known !== undefined) return known;
    const name = writer.newName('items');
    names.set(key, name);
    const choices: string[] = [];
    if (index >= minItems && found >= wanted!.min) choices.push('"]"');
    if (max === null || index < max) {
      const place = prefix[index] ?? rest;
      const next = max === null ? Math.min(index + 1, last) : index + 1;
      const separator = index === 0 ? '' : `${COMMA} `;
      const add = (sources: Sources, foundNow: number) => {
        if (!values.isPossible(sources) || !isReachable(next, foundNow)) return;
        choices.push(`${separator}${values.rule(sources)} ${state(next, foundNow)}`);
      };
      add(place, found);
      if (found < wanted!.min) add(joinedSources(place, wanted!.sources), found + 1);
    }
    writer.define(name, choices.join(' | '));
    return name;
  };
  /** Whether enough places are left for what is still to be found. */
  const isReachable = (index: number, found: number): boolean => {
    let missing = wanted!.min - found;
    if (missing <= 0) return true;
    if (max === null) return values.isPossible(joinedSources(rest, wanted!.sources));
    for (let at = index; at < max && missing > 0; at++) {
      if (values.isPossible(joinedSources(prefix[at] ?? rest, wanted!.sources))) missing -= 1;
    }
    return missing <= 0;
  };
  if (!isReachable(0, 0)) throw unsupported('contains', wanted!.path, 'cannot be met');
  return `"[" ${state(0, 0)}`;
}

/** A state is the set of values that are used up: for a handful of values only. */
function uniqueItems(shape: ArrayShape, max: number | null, values: Values, writer: EbnfWriter): string {
  const shapes = values.shapes(shape.rest);
  const [only] = shapes;
  const isListed = shape.prefix.length === 0 && shape.contains.length === 0 && shapes.length === 1 && only!.type === 'literals';
  if (!isListed || (only as { values: ReadonlyMap<string, unknown> }).values.size > MAX_UNIQUE_VALUES) {
    throw unsupported('uniqueItems', shape.uniqueAt!, `is supported for arrays of at most ${MAX_UNIQUE_VALUES} listed values`);
  }
  const listed = [...(only as { values: ReadonlyMap<string, unknown> }).values.values()];
  if (listed.some((value) => typeof value === 'object' && value !== null))
    throw unsupported('uniqueItems', shape.uniqueAt!, 'is not supported for arrays of objects or arrays');
  const most = Math.min(max ?? listed.length, listed.length);
  if (most < shape.minItems) throw unsupported('uniqueItems', shape.uniqueAt!, 'leaves fewer values than "minItems"');
  const names = new Map<number, string>();
  const state = (used: number, count: number): string => {
    const known = names.get(used);
    if (known !== undefined) return known;
    const name = writer.newName('items');
    names.set(used, name);
    const choices = count >= shape.minItems ? ['"]"'] : [];
    if (count < most) {
      listed.forEach((value, index) => {
        if (used & (1 << index)) return;
        choices.push(`${count === 0 ? '' : `${COMMA} `}${literal(JSON.stringify(value))} ${state(used | (1 << index), count + 1)}`);
      });
    }
    writer.define(name, choices.join(' | '));
    return name;
  };
  return `"[" ${state(0, 0)}`;
}
