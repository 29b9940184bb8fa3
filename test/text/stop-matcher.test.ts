import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StopMatcher } from '../../src/text/stop-matcher.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { cuts } from '../support/text-fixtures.ts';

/** All output joined, what matched, and how many pieces it took. */
function run(parts: readonly string[], stops: readonly string[], include = false): { text: string; matched: string | null } {
  const matcher = new StopMatcher(stops, include);
  let text = '';
  for (const part of parts) {
    const result = matcher.push(part);
    text += result.text;
    if (result.matched !== null) return { text, matched: result.matched };
  }
  return { text: text + matcher.flush(), matched: null };
}

test('a stop string is found across the borders of pieces, and neither it nor what follows is output', () => {
  for (const parts of cuts('Hello###END and more')) assert.deepEqual(run(parts, ['###END']), { text: 'Hello', matched: '###END' });
});

test('the stop string stays with includeStopStr, and what follows it still goes', () => {
  for (const parts of cuts('one\ntwo')) assert.deepEqual(run(parts, ['\n'], true), { text: 'one\n', matched: '\n' });
});

test('the match that ends first wins, the longest of those that end together', () => {
  for (const parts of cuts('abcde')) {
    assert.deepEqual(run(parts, ['bcd', 'c']), { text: 'ab', matched: 'c' });
    assert.deepEqual(run(parts, ['c', 'bc']), { text: 'a', matched: 'bc' });
    assert.deepEqual(run(parts, ['e', 'cd']), { text: 'ab', matched: 'cd' });
  }
});

test('text that only looks like a stop string comes out whole', () => {
  for (const parts of cuts('aab aaab aa')) assert.deepEqual(run(parts, ['aaaa', 'zz']), { text: 'aab aaab aa', matched: null });
  for (const parts of cuts('aaaab')) assert.deepEqual(run(parts, ['aab']), { text: 'aa', matched: 'aab' });
});

test('only what could still become a stop string is held back', () => {
  const matcher = new StopMatcher(['<stop>', 'top!'], false);
  assert.equal(matcher.push('go <st').text, 'go ');
  assert.equal(matcher.push('x').text, '<stx');
  assert.equal(matcher.push('t').text, '');
  assert.equal(matcher.push('op').text, '');
  assert.deepEqual(matcher.push('!'), { text: '', matched: 'top!' });
});

test('nothing is output after a match', () => {
  const matcher = new StopMatcher(['x'], false);
  assert.equal(matcher.push('axb').matched, 'x');
  assert.deepEqual(matcher.push('more'), { text: '', matched: null });
  assert.equal(matcher.flush(), '');
});

test('without stop strings, or with empty ones, every piece passes at once', () => {
  for (const stops of [[], ['']]) assert.deepEqual(new StopMatcher(stops, false).push('abc'), { text: 'abc', matched: null });
});

test('random texts give what a search of the whole text gives, however they are cut', () => {
  const random = seededRandom(5);
  const word = (length: number) => Array.from({ length }, () => 'ab'[random.below(2)]).join('');
  for (let round = 0; round < 500; round++) {
    const text = word(random.below(14));
    const stops = Array.from({ length: 1 + random.below(3) }, () => word(1 + random.below(4)));
    const expected = search(text, stops);
    for (const parts of cuts(text)) assert.deepEqual(run(parts, stops), expected, `${text} ${stops}`);
  }
});

/** The definition: try every end from the left, the longest stop string first. */
function search(text: string, stops: readonly string[]): { text: string; matched: string | null } {
  const longestFirst = [...stops].sort((a, b) => b.length - a.length);
  for (let end = 1; end <= text.length; end++) {
    const matched = longestFirst.find((stop) => text.slice(0, end).endsWith(stop));
    if (matched !== undefined) return { text: text.slice(0, end - matched.length), matched };
  }
  return { text, matched: null };
}
