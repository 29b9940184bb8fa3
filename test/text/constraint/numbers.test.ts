import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accepts, automatonOf } from '../../../src/text/constraint/automaton.ts';
import { multiplesOf, type NumberRange, numberText } from '../../../src/text/constraint/numbers.ts';
import { seededRandom } from '../../support/seeded-random.ts';

const bound = (value: number | null, isExclusive: boolean) => (value === null ? null : { value, isExclusive });

function isInRange(value: number, { isInteger, min, max }: NumberRange): boolean {
  if (isInteger && !Number.isInteger(value)) return false;
  if (min && (min.isExclusive ? value <= min.value : value < min.value)) return false;
  return !max || (max.isExclusive ? value < max.value : value <= max.value);
}

test('a decimal is accepted exactly when its value is in the range', () => {
  const random = seededRandom(3);
  const decimal = () => (random.below(4000) - 2000) / [1, 1, 8, 10, 100][random.below(5)]!;
  for (let round = 0; round < 200; round++) {
    const [a, b] = [decimal(), decimal()];
    const range: NumberRange = {
      isInteger: random.below(2) === 0,
      min: bound(random.below(4) === 0 ? null : Math.min(a, b), random.below(2) === 0),
      max: bound(random.below(4) === 0 ? null : Math.max(a, b), random.below(2) === 0),
    };
    if (!range.min && !range.max) continue;
    const automaton = automatonOf(numberText(range));
    for (let count = 0; count < 60; count++) {
      const near = [a, b, 0, decimal()][random.below(4)]! + [0, 0, 0.001, -0.001, 1, -1][random.below(6)]!;
      const value = Number(near.toFixed(random.below(5)));
      if (Object.is(value, -0) || (range.isInteger && !Number.isInteger(value))) continue;
      assert.equal(accepts(automaton, String(value)), isInRange(value, range), `${value} in ${JSON.stringify(range)}`);
    }
  }
});

test('no other spelling slips in', () => {
  const automaton = automatonOf(numberText({ isInteger: false, min: bound(-5, false), max: bound(100, false) }));
  for (const text of ['', '-', '.5', '5.', '007', '+5', '1e1', '-0', '0x1', ' 5', '5 ', '5.0.0'])
    assert.equal(accepts(automaton, text), false, text);
  for (const text of ['0', '-5', '100', '99.5', '-4.999', '5.50', '0.0']) assert.equal(accepts(automaton, text), true, text);
});

test('a bound between two doubles is never crossed by rounding', () => {
  const automaton = automatonOf(numberText({ isInteger: false, min: bound(0, true), max: bound(1, true) }));
  assert.equal(accepts(automaton, '0.99999999999999'), true);
  for (const text of ['0', '0.0', '1', '1.0', '0.99999999999999999999', '0.000000000000000000001'])
    assert.equal(accepts(automaton, text), false, text);
});

test('multiples are told by their digits', () => {
  const all = numberText({ isInteger: true, min: null, max: null });
  for (const divisor of [2, 3, 7, 10, 25, 60, 64, 128, 1000]) {
    const automaton = multiplesOf(divisor, all);
    for (let value = -200; value < 4000; value += 1) {
      if (value !== 0) assert.equal(accepts(automaton, String(value)), value % divisor === 0, `${value} of ${divisor}`);
    }
    assert.equal(accepts(automaton, '0'), true);
  }
  assert.throws(() => multiplesOf(1021, all), /"multipleOf": 1021 is not supported/);
});
