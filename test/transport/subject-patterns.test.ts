import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkPattern, checkSubject, matches, PatternMap } from '../../src/transport/subject-patterns.ts';

test('patterns match as in NATS', () => {
  const cases: readonly [pattern: string, subject: string, isMatch: boolean][] = [
    ['a.b', 'a.b', true],
    ['a.b', 'a.b.c', false],
    ['a.b.c', 'a.b', false],
    ['a.*', 'a.b', true],
    ['a.*', 'a', false],
    ['a.*', 'a.b.c', false],
    ['*.b', 'a.b', true],
    ['*', 'a', true],
    ['>', 'a', true],
    ['>', 'a.b.c', true],
    ['a.>', 'a', false],
    ['a.>', 'a.b.c', true],
    ['a.*.>', 'a.b', false],
    ['a.*.>', 'a.b.c.d', true],
  ];
  for (const [pattern, subject, isMatch] of cases) {
    assert.equal(matches(pattern, subject), isMatch, `${pattern} ${subject}`);
    const map = new PatternMap<string>();
    map.add(pattern, 'value');
    assert.deepEqual(map.match(subject), isMatch ? ['value'] : []);
    assert.equal(map.has(subject), isMatch);
  }
});

test('a value added twice is removed once at a time', () => {
  const map = new PatternMap<string>();
  for (const pattern of ['a.b', 'a.*']) {
    map.add(pattern, 'x');
    map.add(pattern, 'x');
  }
  assert.equal(map.match('a.b').length, 4);
  map.remove('a.b', 'x');
  map.remove('a.*', 'x');
  assert.equal(map.match('a.b').length, 2);
  map.remove('a.b', 'x');
  map.remove('a.*', 'x');
  map.remove('a.*', 'x');
  assert.deepEqual(map.patterns(), []);
});

test('what no broker would take is refused', () => {
  for (const subject of ['', 'a..b', 'a.*', 'a.>', 'a b', 'ä', '.a', 'a.']) assert.throws(() => checkSubject(subject));
  for (const pattern of ['', 'a..b', 'a.>.b', 'a*', '>a', 'a b']) assert.throws(() => checkPattern(pattern));
  for (const pattern of ['a', 'a-1.B_2', '*', '>', 'a.*.b.>']) assert.doesNotThrow(() => checkPattern(pattern));
});
