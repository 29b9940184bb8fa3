import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BreakerState, CircuitBreaker, type EngineVerdict } from '../../src/actors/circuit-breaker.ts';

function newBreaker() {
  const changes: BreakerState[] = [];
  return { changes, breaker: new CircuitBreaker({ onChange: (state) => void changes.push(state) }) };
}

/** Five crashes a second apart: open since 4000. */
function openBreaker() {
  const { breaker, changes } = newBreaker();
  for (let i = 0; i < 5; i++) breaker.record('crash', null, i * 1000);
  return { breaker, changes };
}

const TRUTH_TABLE: readonly [verdict: EngineVerdict, opens: boolean][] = [
  ['crash', true],
  ['unanswered', true],
  ['progress', false],
  ['refused', false],
  ['invalid', false],
  ['cancelled', false],
];
for (const [verdict, opens] of TRUTH_TABLE) {
  test(`five times '${verdict}' within 10 s ${opens ? 'opens the breaker' : 'says nothing against an engine'}`, () => {
    const { breaker } = newBreaker();
    for (let i = 0; i < 5; i++) breaker.record(verdict, i, 1000 + i);
    assert.equal(breaker.state, opens ? 'open' : 'closed');
    assert.equal(breaker.isOpenTo(500, 1005), !opens);
  });
}

test('10,000 bad requests, 1,000 disconnects and 2,048 refusals at once leave it closed', () => {
  const { breaker, changes } = newBreaker();
  for (let i = 0; i < 10_000; i++) breaker.record('invalid', i, 0);
  for (let i = 0; i < 1000; i++) breaker.record('cancelled', i, 0);
  for (let i = 0; i < 2048; i++) breaker.record('refused', i, 0);
  assert.deepEqual(changes, []);
  assert.ok(breaker.isOpenTo(500, 0));
});

test('five failures that do not fall within 10 s leave it closed', () => {
  const { breaker } = newBreaker();
  for (let i = 0; i < 50; i++) breaker.record('crash', null, i * 2501);
  assert.equal(breaker.state, 'closed');
});

test('half-open lets exactly one request through, whose token closes it', () => {
  const { breaker, changes } = openBreaker();
  assert.equal(breaker.isOpenTo(500, 5999), false);
  assert.equal(breaker.isOpenTo(500, 6000), true);
  breaker.begin(70);
  for (let i = 0; i < 100; i++) assert.equal(breaker.isOpenTo(500, 6001 + i), false, 'the probe is under way');
  breaker.record('progress', 69, 6200);
  assert.equal(breaker.state, 'halfOpen', 'an older request says nothing about it');
  breaker.record('progress', 70, 6200);
  assert.deepEqual(changes, ['open', 'halfOpen', 'closed']);
});

test('a probe that fails opens it for twice as long, up to a minute; a success resets that', () => {
  const { breaker } = openBreaker();
  let now = 4000;
  const openMs: number[] = [];
  for (let round = 0; round < 7; round++) {
    const since = now;
    while (!breaker.isOpenTo(500, now)) now += 100;
    openMs.push(now - since);
    breaker.begin(round);
    breaker.record(round % 2 ? 'unanswered' : 'crash', round % 2 ? round : null, now);
    assert.equal(breaker.state, 'open');
  }
  assert.deepEqual(openMs, [2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
  while (!breaker.isOpenTo(500, now)) now += 100;
  breaker.begin(99);
  breaker.record('progress', 99, now);
  for (let i = 0; i < 5; i++) breaker.record('crash', null, now);
  assert.deepEqual([breaker.isOpenTo(500, now + 1999), breaker.isOpenTo(500, now + 2000)], [false, true]);
});

test('a probe that is refused or given up says nothing: the next request is the probe', () => {
  const { breaker } = openBreaker();
  for (const verdict of ['refused', 'invalid', 'cancelled'] as const) {
    assert.ok(breaker.isOpenTo(500, 7000));
    breaker.begin(1);
    assert.equal(breaker.isOpenTo(500, 7000), false);
    breaker.record(verdict, 1, 7000);
  }
  assert.ok(breaker.isOpenTo(500, 7000));
  assert.equal(breaker.state, 'halfOpen');
});

test('a probe that came back without a verdict may be given to the engine again, and nothing else', () => {
  const { breaker } = openBreaker();
  assert.ok(breaker.isOpenTo(1, 7000));
  breaker.begin(1);
  assert.deepEqual([breaker.isOpenTo(1, 7000), breaker.isOpenTo(2, 7000)], [true, false]);
});
