/** Arithmetic, `~`, comparisons and slices with Python's rules: no silent conversion, floor division, lists that add and repeat. */
import type { BinaryOperator, ComparisonOperator } from './ast.ts';
import { TemplateError } from './errors.ts';
import { formatPercent } from './format.ts';
import { str } from './print.ts';
import {
  areEqual,
  compare,
  Float,
  isDict,
  isList,
  itemsOf,
  lengthOf,
  Markup,
  numberOf,
  Range,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from './values.ts';
import { spend, spendText } from './work.ts';

export function applyBinary(operator: BinaryOperator, left: Value, right: Value): Value {
  for (const side of [left, right]) if (side instanceof Undefined) throw new TemplateError(side.hint);
  const [a, b] = [numberOf(left), numberOf(right)];
  if (a !== null && b !== null) return arithmetic(operator, a, b, left instanceof Float || right instanceof Float);
  if (operator === '+') {
    if (left instanceof Markup || right instanceof Markup) return addMarkup(left, right);
    if (typeof left === 'string' && typeof right === 'string') return joined(left, right);
    if (isList(left) && isList(right)) return appended(left, right);
    if (left instanceof Tuple && right instanceof Tuple) return new Tuple(appended(left.items, right.items));
  }
  if (operator === '*' && typeof right === 'number') return repeat(left, right);
  if (operator === '*' && typeof left === 'number') return repeat(right, left);
  if (operator === '%' && typeof left === 'string') return formatPercent(left, right);
  throw new TemplateError(`unsupported operand types for ${operator}: '${typeName(left)}' and '${typeName(right)}'`);
}

function joined(left: string, right: string): string {
  spendText(left.length + right.length);
  return left + right;
}

function appended(left: readonly Value[], right: readonly Value[]): Value[] {
  spend(left.length + right.length);
  return [...left, ...right];
}

function arithmetic(operator: BinaryOperator, a: number, b: number, isFloat: boolean): Value {
  if (b === 0 && (operator === '/' || operator === '//' || operator === '%')) throw new TemplateError('division by zero');
  switch (operator) {
    case '+':
      return number(a + b, isFloat);
    case '-':
      return number(a - b, isFloat);
    case '*':
      return number(a * b, isFloat);
    case '/':
      return new Float(a / b);
    case '//':
      return number(Math.floor(a / b), isFloat);
    case '%':
      return number(a - b * Math.floor(a / b), isFloat);
    case '**':
      return number(a ** b, isFloat || b < 0);
    default:
      return operator satisfies never;
  }
}

function number(value: number, isFloat: boolean): Value {
  if (isFloat) return new Float(value);
  if (!Number.isSafeInteger(value)) throw new TemplateError('an integer is larger than 2^53, which is not supported');
  return value === 0 ? 0 : value;
}

function repeat(value: Value, times: number): Value {
  const count = Math.max(0, times);
  if (typeof value === 'string') {
    spendText(value.length * count);
    return value.repeat(count);
  }
  if (isList(value) || value instanceof Tuple) spend(count * (1 + lengthOf(value)));
  if (isList(value)) return Array.from({ length: count }, () => value).flat();
  if (value instanceof Tuple) return new Tuple(Array.from({ length: count }, () => value.items).flat());
  throw new TemplateError(`cannot repeat a ${typeName(value)}`);
}

function addMarkup(left: Value, right: Value): Markup {
  const [a, b] = [left, right].map((side) => (side instanceof Markup ? side.text : escapeHtml(requireString(side))));
  return new Markup(a! + b!);
}

function requireString(value: Value): string {
  if (typeof value !== 'string') throw new TemplateError(`cannot add a ${typeName(value)} to a string`);
  return value;
}

/** MarkupSafe's five characters. */
export function escapeHtml(text: string): string {
  spendText(text.length);
  const names: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', "'": '&#39;', '"': '&#34;' };
  return text.replace(/[&<>'"]/g, (character) => names[character]!);
}

export function negate(value: Value): Value {
  const operand = numberOf(value);
  if (operand === null) throw new TemplateError(value instanceof Undefined ? value.hint : `cannot negate a ${typeName(value)}`);
  return value instanceof Float ? new Float(-operand) : number(-operand, false);
}

/** `a ~ b`: both sides as text. */
export function concat(values: readonly Value[]): string {
  const texts = values.map(str);
  spendText(texts.reduce((sum, text) => sum + text.length, 0));
  return texts.join('');
}

export function applyComparison(operator: ComparisonOperator, left: Value, right: Value): boolean {
  switch (operator) {
    case '==':
      return areEqual(left, right);
    case '!=':
      return !areEqual(left, right);
    case 'in':
      return contains(right, left);
    case 'not in':
      return !contains(right, left);
    default:
      return isOrdered(operator, left, right);
  }
}

function isOrdered(operator: '<' | '<=' | '>' | '>=', left: Value, right: Value): boolean {
  for (const side of [left, right]) if (side instanceof Undefined) throw new TemplateError(side.hint);
  const order = compare(left, right);
  if (operator === '<') return order < 0;
  if (operator === '<=') return order <= 0;
  return operator === '>' ? order > 0 : order >= 0;
}

/** `item in container` */
export function contains(container: Value, item: Value): boolean {
  const text = textOf(container);
  if (text !== null) {
    const part = textOf(item);
    if (part === null) throw new TemplateError(`'in <string>' requires a string as left operand, not ${typeName(item)}`);
    spendText(text.length);
    return text.includes(part);
  }
  if (isDict(container)) return container.has(typeof item === 'object' && item instanceof Markup ? item.text : item);
  return itemsOf(container).some((other) => areEqual(other, item));
}

/** `value[start:stop:step]`; null bounds are open. As in Jinja, what cannot be sliced is undefined. */
export function slice(value: Value, start: Value, stop: Value, step: Value): Value {
  if (value instanceof Undefined) throw new TemplateError(value.hint);
  if ([start, stop, step].some((bound) => bound !== null && typeof bound !== 'number'))
    return new Undefined('a slice has bounds that are no integers');
  const text = textOf(value);
  spendText(text?.length ?? 0);
  if (text !== null) return sliceItems([...text], start, stop, step).join('');
  if (isList(value)) return sliceItems(value, start, stop, step);
  if (value instanceof Tuple) return new Tuple(sliceItems(value.items, start, stop, step));
  if (value instanceof Range) throw new TemplateError('a slice of a range is not supported; use |list first');
  return new Undefined(`'${typeName(value)} object' cannot be sliced`);
}

function sliceItems<T>(items: readonly T[], start: Value, stop: Value, step: Value): T[] {
  const stride = bound(step) ?? 1;
  if (stride === 0) throw new TemplateError('slice step cannot be zero');
  const low = stride > 0 ? 0 : -1;
  const high = stride > 0 ? items.length : items.length - 1;
  const place = (index: number | null, open: number): number => {
    if (index === null) return open;
    return Math.min(high, Math.max(low, index < 0 ? index + items.length : index));
  };
  const from = place(bound(start), stride > 0 ? low : high);
  const to = place(bound(stop), stride > 0 ? high : low);
  spend(Math.abs(to - from) / Math.abs(stride));
  const taken: T[] = [];
  for (let i = from; stride > 0 ? i < to : i > to; i += stride) taken.push(items[i]!);
  return taken;
}

function bound(value: Value): number | null {
  return typeof value === 'number' ? value : null;
}
