/** `x is …` (jinja2/tests.py). */
import { bind, requireInteger, requireText } from './arguments.ts';
import type { ComparisonOperator } from './ast.ts';
import { TemplateError } from './errors.ts';
import { applyComparison } from './operators.ts';
import { str } from './print.ts';
import {
  type Arguments,
  Callable,
  DictView,
  Float,
  isDict,
  isList,
  Markup,
  numberOf,
  OneShot,
  Range,
  Tuple,
  textOf,
  Undefined,
  type Value,
} from './values.ts';
import { spendText } from './work.ts';

export type Test = (value: Value, args: Arguments) => boolean;

/** @throws TemplateError for an unknown test. */
export function testNamed(name: string): Test {
  const test = TESTS.get(name);
  if (test === undefined) throw new TemplateError(`the test '${name}' is unknown or not supported`);
  return test;
}

const plain =
  (check: (value: Value) => boolean): Test =>
  (value, args) => {
    bind('the test', args, {});
    spendText(4 * (textOf(value)?.length ?? 0));
    return check(value);
  };

const comparing =
  (operator: ComparisonOperator): Test =>
  (value, args) =>
    applyComparison(operator, value, bind('the test', args, { other: undefined }).other);

const remainder = (value: Value, divisor: number): number => {
  const dividend = requireInteger('the number', value);
  if (divisor === 0) throw new TemplateError('division by zero');
  return Math.abs(dividend % divisor);
};

const isSequence = (value: Value): boolean =>
  textOf(value) !== null ||
  isList(value) ||
  isDict(value) ||
  value instanceof Tuple ||
  value instanceof Range ||
  value instanceof Undefined;

const ALIASES: readonly (readonly [ComparisonOperator, readonly string[]])[] = [
  ['==', ['eq', 'equalto', '==']],
  ['!=', ['ne', '!=']],
  ['<', ['lt', 'lessthan', '<']],
  ['<=', ['le', '<=']],
  ['>', ['gt', 'greaterthan', '>']],
  ['>=', ['ge', '>=']],
  ['in', ['in']],
];

const TESTS: ReadonlyMap<string, Test> = new Map<string, Test>([
  ...ALIASES.flatMap(([operator, names]) => names.map((name): [string, Test] => [name, comparing(operator)])),
  ['defined', plain((value) => !(value instanceof Undefined))],
  ['undefined', plain((value) => value instanceof Undefined)],
  ['none', plain((value) => value === null)],
  ['boolean', plain((value) => typeof value === 'boolean')],
  ['true', plain((value) => value === true)],
  ['false', plain((value) => value === false)],
  ['integer', plain((value) => typeof value === 'number')],
  ['float', plain((value) => value instanceof Float)],
  ['number', plain((value) => numberOf(value) !== null)],
  ['string', plain((value) => textOf(value) !== null)],
  ['mapping', plain(isDict)],
  ['sequence', plain(isSequence)],
  ['iterable', plain((value) => isSequence(value) || value instanceof OneShot || value instanceof DictView)],
  ['callable', plain((value) => value instanceof Callable)],
  ['escaped', plain((value) => value instanceof Markup)],
  ['odd', plain((value) => remainder(value, 2) === 1)],
  ['even', plain((value) => remainder(value, 2) === 0)],
  ['divisibleby', (value, args) => remainder(value, requireInteger('num', bind('divisibleby', args, { num: undefined }).num)) === 0],
  ['lower', plain((value) => str(value) === str(value).toLowerCase() && str(value) !== str(value).toUpperCase())],
  ['upper', plain((value) => str(value) === str(value).toUpperCase() && str(value) !== str(value).toLowerCase())],
  ['sameas', (value, args) => isSame(value, bind('sameas', args, { other: undefined }).other)],
  ['test', plain((value) => TESTS.has(requireText('the name', value)))],
]);

/** `a is b` is certain for None, True and False only; for the rest it depends on Python's memory. */
function isSame(value: Value, other: Value): boolean {
  for (const constant of [null, true, false]) if (other === constant || value === constant) return value === other;
  throw new TemplateError("the test 'sameas' is supported for none, true and false only");
}
