/** The functions that every chat template can call: Jinja's, and those that transformers adds. */
import { bind, requireInteger, requireText } from './arguments.ts';
import { TemplateError } from './errors.ts';
import { Scope } from './evaluator.ts';
import { str } from './print.ts';
import { strftime } from './strftime.ts';
import { type Arguments, Callable, isDict, itemsOf, Namespace, Range, type Value } from './values.ts';

/** Jinja's sandbox refuses longer ranges. */
const MAX_RANGE = 100_000;

/** `now` is what strftime_now shows, in local time. */
export function globalScope(now: () => Date): Scope {
  const scope = new Scope(null);
  const define = (name: string, call: (args: Arguments) => Value) => scope.set(name, new Callable(name, call));
  define('range', range);
  define('dict', (args) => new Map(fieldsOf('dict', args)));
  define('namespace', (args) => {
    const fields = fieldsOf('namespace', args);
    for (const name of fields.keys())
      if (name.startsWith('_')) throw new TemplateError(`a namespace field cannot begin with an underscore: ${name}`);
    return new Namespace(fields);
  });
  define('raise_exception', (args) => {
    throw new TemplateError(str(bind('raise_exception', args, { message: undefined }).message));
  });
  define('strftime_now', (args) => strftime(now(), requireText('the format', bind('strftime_now', args, { format: undefined }).format)));
  for (const name of ['self', 'cycler', 'joiner', 'lipsum']) {
    define(name, () => {
      throw new TemplateError(`${name} is not supported`);
    });
  }
  return scope;
}

function range({ positional, keyword }: Arguments): Value {
  if (keyword.size > 0 || positional.length < 1 || positional.length > 3)
    throw new TemplateError('range takes 1 to 3 positional arguments');
  const [first, second, third] = positional.map((bound) => requireInteger('range', bound));
  const [start, stop, step] = second === undefined ? [0, first!, 1] : [first!, second, third ?? 1];
  if (step === 0) throw new TemplateError('range() arg 3 must not be zero');
  if ((stop - start) / step > MAX_RANGE) throw new TemplateError(`a range is longer than ${MAX_RANGE}`);
  return new Range(start, stop, step);
}

/** `dict(mapping or pairs, name=value)` */
function fieldsOf(callee: string, { positional, keyword }: Arguments): Map<string, Value> {
  if (positional.length > 1) throw new TemplateError(`${callee} takes at most one positional argument`);
  const source = positional[0] ?? new Map<Value, Value>();
  const pairs = isDict(source) ? [...source] : itemsOf(source).map((pair) => itemsOf(pair));
  const fields = new Map<string, Value>();
  for (const [key, value] of pairs) {
    if (key === undefined || value === undefined) throw new TemplateError(`${callee} needs pairs of a key and a value`);
    fields.set(requireText(`a key of ${callee}`, key), value);
  }
  for (const [name, value] of keyword) fields.set(name, value);
  return fields;
}
