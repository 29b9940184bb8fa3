/**
 * `a.b` and `a['b']` as Jinja's sandbox resolves them: a dot looks for a method first and then for a key, brackets the other way round.
 * What Python has and we do not is an error, never "undefined": a template must not go on with less than its author saw.
 */
import { bind } from './arguments.ts';
import { TemplateError } from './errors.ts';
import { stringMethod } from './string-methods.ts';
import {
  areEqual,
  Callable,
  type Dict,
  DictView,
  isDict,
  isList,
  itemsOf,
  Loop,
  Markup,
  Namespace,
  numberOf,
  Range,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

/** `object.name` */
export function attributeOf(object: Value, name: string): Value {
  if (object instanceof Undefined) throw new TemplateError(object.hint);
  return builtinOf(object, name) ?? (isDict(object) ? object.get(name) : undefined) ?? missing(object, name);
}

/** `object[key]` */
export function itemOf(object: Value, key: Value): Value {
  if (object instanceof Undefined) throw new TemplateError(object.hint);
  const found = isDict(object) ? object.get(keyOf(key)) : indexed(object, key);
  if (found !== undefined) return found;
  return (typeof key === 'string' ? builtinOf(object, key) : undefined) ?? missing(object, key);
}

function indexed(object: Value, key: Value): Value | undefined {
  if (typeof key !== 'number' && typeof key !== 'boolean') return undefined;
  const isSequence = typeof object === 'string' || isList(object) || object instanceof Tuple || object instanceof Range;
  return isSequence ? itemsOf(object).at(Number(key)) : undefined;
}

const keyOf = (key: Value): Value => (typeof key === 'boolean' ? key : (numberOf(key) ?? (key instanceof Markup ? key.text : key)));

function missing(object: Value, key: Value): Undefined {
  return new Undefined(`'${typeName(object)} object' has no attribute or item ${typeof key === 'string' ? `'${key}'` : typeName(key)}`);
}

function builtinOf(object: Value, name: string): Value | undefined {
  if (name.startsWith('__')) throw new TemplateError(`access to '${name}' is not allowed`);
  if (typeof object === 'string') return stringMethod(object, name);
  if (isDict(object)) return dictMethod(object, name);
  if (isList(object)) return sequenceMethod(object, name, LIST_CHANGES);
  if (object instanceof Tuple) return sequenceMethod(object.items, name, NOTHING);
  if (object instanceof Namespace || object instanceof Loop) return object.fields.get(name);
  if (object instanceof Markup) throw new TemplateError(`text marked safe or escaped has no supported method '${name}'`);
  if (numberOf(object) !== null && NUMBER_ATTRIBUTES.has(name)) throw new TemplateError(`'${name}' of a number is not supported`);
  if (object instanceof Callable || object instanceof Range || object instanceof DictView) {
    throw new TemplateError(`'${name}' of a ${typeName(object)} is not supported`);
  }
  return undefined;
}

const NOTHING: ReadonlySet<string> = new Set();
const LIST_CHANGES: ReadonlySet<string> = new Set('append clear copy extend insert pop remove reverse sort'.split(' '));
const DICT_CHANGES: ReadonlySet<string> = new Set('clear fromkeys pop popitem setdefault update'.split(' '));
const NUMBER_ATTRIBUTES: ReadonlySet<string> = new Set(
  'as_integer_ratio bit_count bit_length conjugate denominator from_bytes fromhex hex imag is_integer numerator real to_bytes'.split(' '),
);

function dictMethod(dict: Dict, name: string): Callable | undefined {
  if (DICT_CHANGES.has(name)) throw new TemplateError(`dict.${name}: a template cannot change its data`);
  switch (name) {
    case 'items':
    case 'keys':
    case 'values':
      return new Callable(name, (args) => {
        bind(`dict.${name}`, args, {});
        return new DictView(name, dict);
      });
    case 'get':
      return new Callable(name, (args) => {
        if (args.keyword.size > 0) throw new TemplateError('dict.get takes no keyword arguments');
        const { key, default: fallback } = bind('dict.get', args, { key: undefined, default: null });
        return dict.get(keyOf(key)) ?? (dict.has(keyOf(key)) ? null : fallback);
      });
    case 'copy':
      return new Callable(name, () => dict);
    default:
      return undefined;
  }
}

function sequenceMethod(items: readonly Value[], name: string, changes: ReadonlySet<string>): Callable | undefined {
  if (changes.has(name)) throw new TemplateError(`list.${name}: a template cannot change its data; use + to make a new list`);
  if (name !== 'index' && name !== 'count') return undefined;
  return new Callable(name, (args) => {
    const { value } = bind(name, args, { value: undefined });
    if (name === 'count') return items.filter((item) => areEqual(item, value)).length;
    const at = items.findIndex((item) => areEqual(item, value));
    if (at < 0) throw new TemplateError('the value is not in the list');
    return at;
  });
}
