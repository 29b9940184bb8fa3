/** `'%s' % x` and `'{}'.format(x)`: the parts of Python's two formatting languages that templates use; the rest is refused. */
import { TemplateError } from './errors.ts';
import { repr, str } from './print.ts';
import { type Arguments, Float, isDict, numberOf, Tuple, textOf, typeName, type Value } from './values.ts';
import { spend, spendText } from './work.ts';

/** printf-style: `%s %r %d %i %f %x %X %%`, with flags, width and precision, from a tuple, a dict (`%(name)s`) or one value. */
export function formatPercent(template: string, operand: Value): string {
  const queue = operand instanceof Tuple ? [...operand.items] : [operand];
  let numUsed = 0;
  const text = template.replace(
    /%(?:\((\w+)\))?([-+ 0#]*)(\d*)(?:\.(\d+))?([a-zA-Z%]|$)/g,
    (_, name, flags: string, width, precision, kind) => {
      spend(1);
      if (kind === '%') return '%';
      let value: Value | undefined;
      if (name !== undefined) value = isDict(operand) ? operand.get(name as string) : undefined;
      else value = queue[numUsed++];
      if (value === undefined) throw new TemplateError('not enough arguments for format string');
      return pad(convert(kind as string, value, precision as string | undefined, flags), flags, Number(width || 0), kind as string);
    },
  );
  if (numUsed < queue.length && !isDict(operand)) throw new TemplateError('not all arguments converted during string formatting');
  return text;
}

function convert(kind: string, value: Value, precision: string | undefined, flags: string): string {
  spendText(4 * (textOf(value)?.length ?? 0));
  if (kind === 's') return cut(str(value), precision);
  if (kind === 'r') return cut(repr(value), precision);
  const number = numberOf(value);
  if (number === null || flags.includes('#')) throw new TemplateError(`%${kind} cannot format a ${typeName(value)}`);
  const sign = number < 0 ? '-' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '';
  if ((kind === 'd' || kind === 'i') && precision === undefined) return sign + String(Math.abs(Math.trunc(number)));
  if ((kind === 'x' || kind === 'X') && precision === undefined && !(value instanceof Float)) {
    const digits = Math.abs(number).toString(16);
    return sign + (kind === 'X' ? digits.toUpperCase() : digits);
  }
  if (kind === 'f' || kind === 'F') return sign + fixed(Math.abs(number), Number(precision ?? 6));
  throw new TemplateError(`the format %${kind} is not supported`);
}

function cut(text: string, precision: string | undefined): string {
  return precision === undefined ? text : [...text].slice(0, Number(precision)).join('');
}

function pad(text: string, flags: string, width: number, kind: string): string {
  const missing = width - [...text].length;
  if (missing <= 0) return text;
  spendText(missing);
  if (flags.includes('-')) return text + ' '.repeat(missing);
  if (!flags.includes('0') || kind === 's' || kind === 'r') return ' '.repeat(missing) + text;
  const sign = /^[-+ ]/.test(text) ? text[0]! : '';
  return sign + '0'.repeat(missing) + text.slice(sign.length);
}

/** Decimals of the exact binary value; halves go to the even neighbour, where toFixed goes up. */
export function fixed(value: number, decimals: number): string {
  if (!Number.isFinite(value)) throw new TemplateError('cannot format an infinite number');
  if (decimals > 100 || Math.abs(value) >= 1e21) throw new TemplateError('a number is too large to format');
  const up = value.toFixed(decimals);
  const scaled = value * 10 ** decimals;
  const isTie = scaled % 1 === 0.5 && scaled / 10 ** decimals === value && decimals <= 15 && isExactHalf(value, decimals);
  return isTie && Math.floor(scaled) % 2 === 0 ? (Math.floor(scaled) / 10 ** decimals).toFixed(decimals) : up;
}

/** Whether the next decimals of the exact value are 5000… */
function isExactHalf(value: number, decimals: number): boolean {
  return /^50*$/.test(
    value
      .toFixed(Math.min(100, decimals + 30))
      .split('.')[1]!
      .slice(decimals),
  );
}

/** `str.format` with `{}`, `{0}`, `{name}`, `{{` and `}}`. */
export function formatBraces(template: string, args: Arguments): string {
  let numUsed = 0;
  return template.replace(/\{\{|\}\}|\{(\w*)\}|[{}]/g, (match, field: string | undefined) => {
    spend(1);
    if (match === '{{') return '{';
    if (match === '}}') return '}';
    if (field === undefined) throw new TemplateError('this replacement field of str.format is not supported');
    const value =
      field === '' ? args.positional[numUsed++] : /^\d+$/.test(field) ? args.positional[Number(field)] : args.keyword.get(field);
    if (value === undefined) throw new TemplateError(`str.format has no value for {${field}}`);
    const text = str(value);
    spendText(text.length);
    return text;
  });
}
