/** Filters of lists, dicts and other iterables (jinja2/filters.py). What is lazy in Python is a OneShot here. */
import { bind, NO_ARGUMENTS, requireInteger, requireText } from './arguments.ts';
import { itemOf } from './attributes.ts';
import { TemplateError } from './errors.ts';
import type { Filter } from './filter.ts';
import { applyBinary } from './operators.ts';
import { str } from './print.ts';
import { joinTexts } from './python-text.ts';
import { testNamed } from './tests.ts';
import {
  type Arguments,
  areEqual,
  compare,
  isDict,
  isTrue,
  itemsOf,
  lengthOf,
  OneShot,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from './values.ts';
import { spend } from './work.ts';

export const SEQUENCE_FILTERS: ReadonlyMap<string, Filter> = new Map<string, Filter>([
  ['list', (value) => [...itemsOf(value)]],
  ['length', lengthOf],
  ['count', lengthOf],
  ['first', first],
  ['last', (value) => (lengthOf(value) > 0 ? itemsOf(value).at(-1)! : new Undefined('No last item, sequence was empty.'))],
  ['items', items],
  ['join', join],
  ['sum', sum],
  ['min', (value, args) => extreme(value, args, -1)],
  ['max', (value, args) => extreme(value, args, 1)],
  ['sort', sort],
  ['dictsort', dictSort],
  ['unique', unique],
  ['batch', batch],
  ['map', map],
  ['select', (value, args) => select(value, args, false, true)],
  ['reject', (value, args) => select(value, args, false, false)],
  ['selectattr', (value, args) => select(value, args, true, true)],
  ['rejectattr', (value, args) => select(value, args, true, false)],
  ['attr', (value, args) => itemOf(value, bind('attr', args, { name: undefined }).name)],
]);

function first(value: Value): Value {
  const [item] = itemsOf(value);
  return item === undefined ? new Undefined('No first item, sequence was empty.') : item;
}

function items(value: Value): Value {
  if (value instanceof Undefined) return new OneShot([]);
  if (!isDict(value)) throw new TemplateError('Can only get item pairs from a mapping.');
  return new OneShot([...value].map((pair) => new Tuple(pair)));
}

function join(value: Value, args: Arguments): string {
  const { d, attribute } = bind('join', args, { d: '', attribute: null });
  return joinTexts(itemsOf(value).map(attributeGetter(attribute)).map(str), str(d));
}

function sum(value: Value, args: Arguments): Value {
  const { attribute, start } = bind('sum', args, { attribute: null, start: 0 });
  return itemsOf(value)
    .map(attributeGetter(attribute))
    .reduce((total, item) => applyBinary('+', total, item), start);
}

function extreme(value: Value, args: Arguments, direction: number): Value {
  const { case_sensitive, attribute } = bind('min or max', args, { case_sensitive: false, attribute: null });
  const keyed = withKeys(itemsOf(value), attribute, isTrue(case_sensitive));
  if (keyed.length === 0) return new Undefined('No aggregated item, sequence was empty.');
  return keyed.reduce((best, entry) => (compare(entry.key, best.key) * direction > 0 ? entry : best)).item;
}

function sort(value: Value, args: Arguments): Value {
  const { reverse, case_sensitive, attribute } = bind('sort', args, { reverse: false, case_sensitive: false, attribute: null });
  return sorted(withKeys(itemsOf(value), attribute, isTrue(case_sensitive)), isTrue(reverse));
}

function dictSort(value: Value, args: Arguments): Value {
  const { case_sensitive, by, reverse } = bind('dictsort', args, { case_sensitive: false, by: 'key', reverse: false });
  if (!isDict(value)) throw new TemplateError(`dictsort needs a dict, not a ${typeName(value)}`);
  if (by !== 'key' && by !== 'value') throw new TemplateError("dictsort: by must be 'key' or 'value'");
  const pairs = [...value].map((pair) => new Tuple(pair));
  return sorted(withKeys(pairs, by === 'key' ? 0 : 1, isTrue(case_sensitive)), isTrue(reverse));
}

interface Keyed {
  readonly key: Value;
  readonly item: Value;
}

function withKeys(values: readonly Value[], attribute: Value, isCaseSensitive: boolean): Keyed[] {
  if (textOf(attribute)?.includes(',')) throw new TemplateError('several attributes at once are not supported');
  const getter = attributeGetter(attribute);
  return values.map((item) => {
    const key = getter(item);
    return { key: isCaseSensitive ? key : (textOf(key)?.toLowerCase() ?? key), item };
  });
}

/** Stable, also when reversed, as Python's `sorted`. */
function sorted(keyed: readonly Keyed[], isReversed: boolean): Value {
  return [...keyed].sort((a, b) => compare(a.key, b.key) * (isReversed ? -1 : 1)).map(({ item }) => item);
}

function unique(value: Value, args: Arguments): Value {
  const { case_sensitive, attribute } = bind('unique', args, { case_sensitive: false, attribute: null });
  const seen: Value[] = [];
  const kept = withKeys(itemsOf(value), attribute, isTrue(case_sensitive)).filter(({ key }) => {
    if (seen.some((other) => areEqual(other, key))) return false;
    seen.push(key);
    return true;
  });
  return new OneShot(kept.map(({ item }) => item));
}

function batch(value: Value, args: Arguments): Value {
  const { linecount, fill_with } = bind('batch', args, { linecount: undefined, fill_with: null });
  const size = requireInteger('linecount', linecount);
  if (size < 1) throw new TemplateError('batch: linecount must be at least 1');
  const all = itemsOf(value);
  const rows: Value[][] = [];
  for (let at = 0; at < all.length; at += size) rows.push(all.slice(at, at + size));
  const last = rows.at(-1);
  if (fill_with !== null && last !== undefined) spend(size - last.length);
  while (fill_with !== null && last !== undefined && last.length < size) last.push(fill_with);
  return new OneShot(rows);
}

function map(value: Value, args: Arguments, named: (name: string) => Filter): Value {
  if (args.positional.length === 0) {
    const { attribute, default: fallback } = bind('map', args, { attribute: undefined, default: null });
    return new OneShot(itemsOf(value).map(attributeGetter(attribute, fallback)));
  }
  const filter = named(requireText('the filter of map', args.positional[0]!));
  const rest = { positional: args.positional.slice(1), keyword: args.keyword };
  return new OneShot(itemsOf(value).map((item) => filter(item, rest, named)));
}

function select(value: Value, args: Arguments, isByAttribute: boolean, isWanted: boolean): Value {
  const [attribute, ...others] = isByAttribute ? args.positional : [null, ...args.positional];
  if (attribute === undefined) throw new TemplateError('selectattr and rejectattr need the name of an attribute');
  const getter = attributeGetter(attribute);
  const [name, ...rest] = others;
  const test =
    name === undefined ? isTrue : (item: Value) => testNamed(requireText('the test', name))(item, { ...NO_ARGUMENTS, positional: rest });
  return new OneShot(itemsOf(value).filter((item) => test(getter(item)) === isWanted));
}

/** `'a.0.b'`, a number, or null for the item itself. */
function attributeGetter(attribute: Value, fallback: Value = null): (item: Value) => Value {
  if (attribute === null) return (item) => item;
  const parts =
    typeof attribute === 'number'
      ? [attribute]
      : requireText('the attribute', attribute)
          .split('.')
          .map((part) => (/^\d+$/.test(part) ? Number(part) : part));
  spend(parts.length);
  return (item) =>
    parts.reduce<Value>((value, part) => {
      spend(1);
      const next = itemOf(value, part);
      return next instanceof Undefined && fallback !== null ? fallback : next;
    }, item);
}
