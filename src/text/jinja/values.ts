/**
 * The values of a running template, with Python's meaning: 1 and 1.0 differ in print and agree in comparison, `None` is not undefined, a
 * dict keeps its order. JavaScript objects never get in (fromJson makes Maps), so a template can reach nothing but its data.
 */
import { TemplateError } from './errors.ts';
import { compareText } from './python-text.ts';
import { spend, spendText } from './work.ts';

/** An int is a JavaScript number that is a safe integer; a float is a Float. */
export type Value =
  | null
  | boolean
  | number
  | string
  | Float
  | Undefined
  | readonly Value[]
  | Tuple
  | Dict
  | DictView
  | Range
  | OneShot
  | Namespace
  | Markup
  | Callable
  | Loop;

export type Dict = ReadonlyMap<Value, Value>;

export class Float {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** Prints as nothing, is false and empty; anything else done with it is an error that says `hint`. */
export class Undefined {
  readonly hint: string;
  constructor(hint: string) {
    this.hint = hint;
  }
}

export class Tuple {
  readonly items: readonly Value[];
  constructor(items: readonly Value[]) {
    this.items = items;
  }
}

export class Range {
  readonly start: number;
  readonly stop: number;
  readonly step: number;
  constructor(start: number, stop: number, step: number) {
    [this.start, this.stop, this.step] = [start, stop, step];
  }
  get items(): number[] {
    const length = Math.max(0, Math.ceil((this.stop - this.start) / this.step));
    spend(length);
    return Array.from({ length }, (_, i) => this.start + i * this.step);
  }
}

/** `d.items()`, `d.keys()`, `d.values()` */
export class DictView {
  readonly kind: 'items' | 'keys' | 'values';
  readonly items: readonly Value[];
  constructor(kind: 'items' | 'keys' | 'values', dict: Dict) {
    this.kind = kind;
    spend(dict.size);
    this.items = kind === 'keys' ? [...dict.keys()] : kind === 'values' ? [...dict.values()] : [...dict].map((pair) => new Tuple(pair));
  }
}

/** What `map`, `select` and the like return in Python: an iterator, empty after its first use, without length or index. */
export class OneShot {
  #items: readonly Value[];
  constructor(items: readonly Value[]) {
    this.#items = items;
  }
  take(): readonly Value[] {
    const items = this.#items;
    this.#items = [];
    return items;
  }
}

/** `namespace(…)`: the one thing that a template can change. */
export class Namespace {
  readonly fields: Map<string, Value>;
  constructor(fields: Map<string, Value>) {
    this.fields = fields;
  }
}

/** Text marked as HTML by `escape` or `safe`: what is added to it is escaped. */
export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export interface Arguments {
  readonly positional: readonly Value[];
  readonly keyword: ReadonlyMap<string, Value>;
}

/** A macro, a global function or a bound method. */
export class Callable {
  readonly name: string;
  readonly call: (args: Arguments) => Value;
  constructor(name: string, call: (args: Arguments) => Value) {
    this.name = name;
    this.call = call;
  }
}

/** The `loop` variable. */
export class Loop {
  readonly fields: ReadonlyMap<string, Value>;
  /** `loop(children)` in a recursive loop. */
  readonly recurse: ((iterable: Value) => Value) | null;
  constructor(fields: ReadonlyMap<string, Value>, recurse: ((iterable: Value) => Value) | null) {
    this.fields = fields;
    this.recurse = recurse;
  }
}

/** JSON data, as requests and files hold it; whole numbers become ints. Fields that are undefined are absent. */
export function fromJson(data: unknown): Value {
  switch (typeof data) {
    case 'string':
    case 'boolean':
      return data;
    case 'number':
      return Number.isSafeInteger(data) ? data : new Float(data);
    case 'undefined':
      return new Undefined('a value is undefined');
    case 'object':
      if (data === null) return null;
      if (Array.isArray(data)) return data.map(fromJson);
      return new Map(
        Object.entries(data)
          .filter(([, value]) => value !== undefined)
          .map(([key, value]) => [key, fromJson(value)]),
      );
    default:
      throw new TemplateError(`a template cannot be given a ${typeof data}`);
  }
}

export const isList = (value: Value): value is readonly Value[] => Array.isArray(value);
export const isDict = (value: Value): value is Dict => value instanceof Map;

/** Python's name of the type, for messages. */
export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number') return 'int';
  if (typeof value === 'string') return 'str';
  if (value instanceof Float) return 'float';
  if (isList(value)) return 'list';
  if (isDict(value)) return 'dict';
  if (value instanceof DictView) return `dict_${value.kind}`;
  return value.constructor.name.toLowerCase();
}

/** `bool(value)` */
export function isTrue(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  if (typeof value !== 'object') return Boolean(value);
  if (value instanceof Float) return value.value !== 0;
  if (value instanceof Markup) return value.text !== '';
  if (isDict(value)) return value.size > 0;
  if (isList(value) || value instanceof Tuple || value instanceof Range || value instanceof DictView) return lengthOf(value) > 0;
  return true;
}

/** The number that an int, float or bool is, or null. */
export function numberOf(value: Value): number | null {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return Number(value);
  return value instanceof Float ? value.value : null;
}

/** The text of a str, or null. */
export function textOf(value: Value): string | null {
  if (typeof value === 'string') return value;
  return value instanceof Markup ? value.text : null;
}

/** The items that `for x in value` sees. */
export function itemsOf(value: Value): readonly Value[] {
  const text = textOf(value);
  if (text !== null) return paid([...text]);
  if (isList(value)) return paid(value);
  if (value instanceof Tuple || value instanceof Range || value instanceof DictView) return paid(value.items);
  if (isDict(value)) return paid([...value.keys()]);
  if (value instanceof OneShot) return paid(value.take());
  if (value instanceof Undefined) return [];
  throw new TemplateError(`'${typeName(value)}' object is not iterable`);
}

/** Whoever asks for all items looks at all of them. */
function paid(items: readonly Value[]): readonly Value[] {
  spend(items.length);
  return items;
}

/** `len(value)`; strings count code points. */
export function lengthOf(value: Value): number {
  if (isDict(value)) return value.size;
  if (value instanceof OneShot) throw new TemplateError("object of type 'generator' has no len(); use |list first");
  if (value === null || numberOf(value) !== null) throw new TemplateError(`object of type '${typeName(value)}' has no len()`);
  return itemsOf(value).length;
}

/** `a == b` */
export function areEqual(a: Value, b: Value): boolean {
  spend(1);
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== null && y !== null) return x === y;
  const [s, t] = [textOf(a), textOf(b)];
  spendText(Math.min(s?.length ?? 0, t?.length ?? 0));
  if (s !== null && t !== null) return s === t;
  if (isList(a) && isList(b)) return areAllEqual(a, b);
  if (a instanceof Tuple && b instanceof Tuple) return areAllEqual(a.items, b.items);
  if (a instanceof Undefined) return b instanceof Undefined;
  if (isDict(a) && isDict(b)) return a.size === b.size && [...a].every(([key, value]) => b.has(key) && areEqual(value, b.get(key)!));
  return a === b;
}

function areAllEqual(a: readonly Value[], b: readonly Value[]): boolean {
  return a.length === b.length && a.every((item, i) => areEqual(item, b[i]!));
}

/** Negative, 0 or positive. @throws TemplateError for types that Python does not order. */
export function compare(a: Value, b: Value): number {
  spend(1);
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== null && y !== null) return x - y;
  const [s, t] = [textOf(a), textOf(b)];
  spendText(Math.min(s?.length ?? 0, t?.length ?? 0));
  if (s !== null && t !== null) return compareText(s, t);
  const [left, right] = isList(a) && isList(b) ? [a, b] : a instanceof Tuple && b instanceof Tuple ? [a.items, b.items] : [null, null];
  if (left === null) throw new TemplateError(`cannot order ${typeName(a)} and ${typeName(b)}`);
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    if (!areEqual(left[i]!, right[i]!)) return compare(left[i]!, right[i]!);
  }
  return left.length - right.length;
}
