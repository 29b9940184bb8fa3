/** Filters of text, numbers and single values (jinja2/filters.py, and transformers' own tojson). */
import { bind, requireInteger, requireNumber, requireText } from './arguments.ts';
import { TemplateError } from './errors.ts';
import type { Filter } from './filter.ts';
import { fixed, formatPercent } from './format.ts';
import { escapeHtml } from './operators.ts';
import { dumps, str } from './print.ts';
import { capitalize, joinTexts, replace, splitLines, trim } from './python-text.ts';
import {
  type Arguments,
  Float,
  isList,
  isTrue,
  Markup,
  numberOf,
  OneShot,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from './values.ts';
import { spendText } from './work.ts';

const onText =
  (change: (text: string) => Value): Filter =>
  (value, args) => {
    bind('the filter', args, {});
    return change(str(value));
  };

const defaultFilter: Filter = (value, args) => {
  const { default_value, boolean } = bind('default', args, { default_value: '', boolean: false });
  return value instanceof Undefined || (isTrue(boolean) && !isTrue(value)) ? default_value : value;
};

export const SCALAR_FILTERS: ReadonlyMap<string, Filter> = new Map<string, Filter>([
  ['default', defaultFilter],
  ['d', defaultFilter],
  ['string', (value) => (value instanceof Markup ? value : str(value))],
  ['upper', onText((text) => text.toUpperCase())],
  ['lower', onText((text) => text.toLowerCase())],
  ['capitalize', onText(capitalize)],
  [
    'title',
    onText((text) =>
      text
        .split(/([-\s({[<]+)/)
        .map(capitalize)
        .join(''),
    ),
  ],
  ['wordcount', onText((text) => text.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0)],
  ['trim', (value, args) => trim(str(value), nullableText(bind('trim', args, { chars: null }).chars))],
  ['replace', replaceFilter],
  ['indent', indent],
  ['format', (value, args) => formatPercent(str(value), args.keyword.size > 0 ? new Map(args.keyword) : new Tuple(args.positional))],
  ['escape', escapeFilter],
  ['e', escapeFilter],
  ['safe', (value) => new Markup(str(value))],
  ['tojson', toJson],
  ['int', toInt],
  ['float', toFloat],
  ['abs', (value) => (value instanceof Float ? new Float(Math.abs(value.value)) : Math.abs(requireInteger('abs', value)))],
  ['round', round],
  ['reverse', reverse],
]);

function nullableText(value: Value): string | null {
  return value === null ? null : requireText('the characters', value);
}

function escapeFilter(value: Value): Markup {
  return value instanceof Markup ? value : new Markup(escapeHtml(str(value)));
}

function replaceFilter(value: Value, args: Arguments): Value {
  const { old, new: replacement, count } = bind('replace', args, { old: undefined, new: undefined, count: null });
  if (value instanceof Markup) throw new TemplateError('replace on text marked safe or escaped is not supported');
  return replace(str(value), str(old), str(replacement), count === null ? -1 : requireInteger('count', count));
}

function indent(value: Value, args: Arguments): Value {
  const { width, first, blank } = bind('indent', args, { width: 4, first: false, blank: false });
  const indention = textOf(width) ?? blanks(requireInteger('width', width));
  const [head = '', ...rest] = splitLines(`${requireText('the text to indent', value)}\n`);
  spendText(rest.length * indention.length);
  const lines = rest.map((line) => (line !== '' || isTrue(blank) ? indention + line : line));
  return (isTrue(first) ? indention : '') + joinTexts([head, ...lines], '\n');
}

function blanks(count: number): string {
  spendText(Math.max(0, count));
  return ' '.repeat(Math.max(0, count));
}

function toJson(value: Value, args: Arguments): string {
  const options = bind('tojson', args, { ensure_ascii: false, indent: null, separators: null, sort_keys: false });
  const indention = options.indent === null ? null : (textOf(options.indent) ?? blanks(requireInteger('indent', options.indent)));
  const { separators } = options;
  const pair = separators instanceof Tuple ? separators.items : separators !== null && isList(separators) ? separators : null;
  if (separators !== null && pair?.length !== 2) throw new TemplateError('separators must be a pair of strings');
  return dumps(value, {
    indent: indention,
    itemSeparator: pair === null ? (indention === null ? ', ' : ',') : requireText('a separator', pair[0]!),
    keySeparator: pair === null ? ': ' : requireText('a separator', pair[1]!),
    ensureAscii: isTrue(options.ensure_ascii),
    sortKeys: isTrue(options.sort_keys),
  });
}

function toInt(value: Value, args: Arguments): Value {
  const { default: fallback, base } = bind('int', args, { default: 0, base: 10 });
  if (value instanceof Undefined) throw new TemplateError(value.hint);
  if (base !== 10 && textOf(value) !== null) throw new TemplateError('int with a base is not supported');
  const number = numberOf(value) ?? readNumber(value);
  if (number === null || Number.isNaN(number)) return fallback;
  if (!Number.isSafeInteger(Math.trunc(number))) throw new TemplateError('int: the number is too large');
  return Math.trunc(number) + 0;
}

function toFloat(value: Value, args: Arguments): Value {
  const { default: fallback } = bind('float', args, { default: new Float(0) });
  if (value instanceof Undefined) throw new TemplateError(value.hint);
  const number = numberOf(value) ?? readNumber(value);
  return number === null ? fallback : new Float(number);
}

/** Beyond any number's; the pattern below takes time by the square of the length. */
const MAX_NUMBER_LENGTH = 1000;

/** `float(text)` in the spellings that Python takes, or null. */
function readNumber(value: Value): number | null {
  const text = trim(textOf(value) ?? '', null);
  if (text.length > MAX_NUMBER_LENGTH) throw new TemplateError('a number with so many digits is not supported');
  if (/^[+-]?(?:inf|infinity|nan)$/i.test(text)) throw new TemplateError(`the number ${text} is not supported`);
  return /^[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text) && !/_(?!\d)/.test(text) ? Number(text.replaceAll('_', '')) : null;
}

/** Python's rounding: halves to the even neighbour, on the exact binary value. An int stays an int. */
function round(value: Value, args: Arguments): Value {
  const { precision, method } = bind('round', args, { precision: 0, method: 'common' });
  const decimals = requireInteger('precision', precision);
  const number = requireNumber('the value to round', value);
  if (method === 'ceil') return new Float(Math.ceil(number * 10 ** decimals) / 10 ** decimals);
  if (method === 'floor') return new Float(Math.floor(number * 10 ** decimals) / 10 ** decimals);
  if (method !== 'common' || decimals < 0) throw new TemplateError('round: this method or precision is not supported');
  if (!(value instanceof Float)) return Number(number);
  const rounded = Number(fixed(Math.abs(number), decimals));
  return new Float(number < 0 ? -rounded : rounded);
}

function reverse(value: Value): Value {
  const text = textOf(value);
  if (text !== null) return [...text].reverse().join('');
  if (!isList(value) && !(value instanceof Tuple)) throw new TemplateError(`reverse of a ${typeName(value)} is not supported`);
  return new OneShot([...(isList(value) ? value : value.items)].reverse());
}
