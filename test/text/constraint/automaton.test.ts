import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accepts, automatonOf, bothOf, differenceOf, isEmpty } from '../../../src/text/constraint/automaton.ts';
import { languageOf } from '../../../src/text/constraint/pattern-language.ts';
import { randomPattern } from '../../support/random-patterns.ts';
import { type Random, seededRandom } from '../../support/seeded-random.ts';

function automatonFor(pattern: string, isWhole = false) {
  const { every, none } = languageOf(pattern, { isWhole });
  const wanted = every.map(automatonOf).reduce(bothOf);
  return none.map(automatonOf).reduce(differenceOf, wanted);
}

const SIGNS = Array.from('aabbxyz019AB-_. "\\\néä日本х');
const randomText = (random: Random) => Array.from({ length: random.below(9) }, () => SIGNS[random.below(SIGNS.length)]).join('');

test('random patterns accept exactly what JavaScript matches from end to end', () => {
  const random = seededRandom(1);
  for (let round = 0; round < 300; round++) {
    const pattern = randomPattern(random, 0);
    const automaton = automatonFor(pattern, true);
    const judge = new RegExp(`^(?:${pattern})$`, 'u');
    for (let count = 0; count < 20; count++) {
      const text = randomText(random);
      assert.equal(accepts(automaton, text), judge.test(text), `${pattern} on ${JSON.stringify(text)}`);
    }
  }
});

test('anchors, look-aheads and open ends mean what they mean in JavaScript', () => {
  const patterns = [
    'a',
    '^a',
    'a$',
    '^a|b$',
    '^(a|^b)x',
    '(x|y$)',
    '^(?!a)[a-z]+$',
    '^(?=.*\\d)(?=.*[a-z]).{2,4}$',
    '^(?!.*aa)[ab]*$',
    '^$',
    '^.$',
    '[^]x',
    '(?:)',
    '\\u{61}b',
  ];
  const random = seededRandom(2);
  for (const pattern of patterns) {
    const automaton = automatonFor(pattern);
    const judge = new RegExp(pattern, 'u');
    for (let count = 0; count < 200; count++) {
      const text = randomText(random);
      assert.equal(accepts(automaton, text), judge.test(text), `${pattern} on ${JSON.stringify(text)}`);
    }
  }
});

test('a difference with itself is empty', () => {
  const automaton = automatonFor('^[a-f]{2,5}$');
  assert.equal(isEmpty(differenceOf(automaton, automaton)), true);
  assert.equal(isEmpty(automaton), false);
});

test('what no automaton can do is refused by name', () => {
  const refusals: readonly (readonly [string, RegExp])[] = [
    ['(a)\\1', /"\\1", which is not supported/],
    ['\\bword', /"\\b", which is not supported/],
    ['\\p{L}', /"\\p", which is not supported/],
    ['(?<=a)b', /look-behind/],
    ['a(?=b)c', /look-ahead in its middle/],
    ['a^b', /an anchor/],
    ['(a', /"\(" without "\)"/],
    ['a)', /"\)" without "\("/],
    ['[z-a]', /ends out of order/],
    ['a{3,2}', /numbers out of order/],
    ['*a', /nothing to repeat/],
    ['[a', /no end/],
  ];
  for (const [pattern, message] of refusals) assert.throws(() => automatonFor(pattern), message, pattern);
});
