import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../../src/core/clock.ts';
import { ResponseStore, type StoredResponse } from '../../src/http/responses/response-store.ts';
import { systemClock } from '../../src/system-clock.ts';

class HandClock implements Pick<Clock, 'monotonic'> {
  time = 0;
  monotonic = (): number => this.time;
}

function storeWith(options: { readonly maxBytes?: number; readonly ttlMs?: number } = {}) {
  const clock = new HandClock();
  return { clock, store: new ResponseStore({ clock: { ...systemClock, monotonic: clock.monotonic }, ...options }) };
}

const stored = (id: string, previous: string | null = null, text = ''): StoredResponse => ({
  response: { id, previous_response_id: previous, output: [{ text }] },
  input: [],
});

const sizeOf = (response: StoredResponse): number => 2 * JSON.stringify(response).length;
const idsOf = (found: ReturnType<ResponseStore['conversation']>) =>
  'missing' in found ? found : found.responses.map(({ response }) => response.id);

test('a conversation is read from its beginning', () => {
  const { store } = storeWith();
  for (const [id, previous] of [
    ['a', null],
    ['b', 'a'],
    ['c', 'b'],
    ['d', 'a'],
  ] as const)
    store.put(stored(id, previous));
  assert.deepEqual(idsOf(store.conversation('c')), ['a', 'b', 'c']);
  assert.deepEqual(idsOf(store.conversation('d')), ['a', 'd']);
  store.delete('a');
  assert.deepEqual(idsOf(store.conversation('c')), { missing: 'a' });
});

test('the least recently used is dropped when the bytes are spent', () => {
  const { store } = storeWith({ maxBytes: 3 * sizeOf(stored('a')) });
  for (const id of ['a', 'b', 'c']) store.put(stored(id));
  assert.ok(store.get('a'));
  store.put(stored('d'));
  assert.deepEqual(
    ['a', 'b', 'c', 'd'].map((id) => store.get(id) !== null),
    [true, false, true, true],
  );
});

test('a conversation that is gone on with stays whole', () => {
  const { store } = storeWith({ maxBytes: 3 * sizeOf(stored('a')) });
  store.put(stored('a'));
  store.put(stored('b', 'a'));
  store.put(stored('x'));
  store.conversation('b');
  store.put(stored('c', 'b'));
  assert.deepEqual(idsOf(store.conversation('c')), ['a', 'b', 'c']);
  assert.equal(store.get('x'), null);
});

test('what is larger than the store is not kept, and pushes nothing out', () => {
  const { store } = storeWith({ maxBytes: 1000 });
  store.put(stored('a'));
  store.put(stored('b', null, 'x'.repeat(1000)));
  assert.deepEqual([store.get('a') !== null, store.get('b')], [true, null]);
});

test('an unused response is forgotten after its time, a used one is not', () => {
  const { clock, store } = storeWith({ ttlMs: 100 });
  store.put(stored('a'));
  store.put(stored('b'));
  clock.time = 60;
  assert.ok(store.get('b'));
  clock.time = 120;
  assert.deepEqual([store.get('a'), store.get('b') !== null, store.size], [null, true, 1]);
});

test('a response that is stored twice counts once', () => {
  const { store } = storeWith({ maxBytes: 2 * sizeOf(stored('a')) });
  for (let i = 0; i < 10; i++) store.put(stored('a'));
  store.put(stored('b'));
  assert.deepEqual([store.get('a') !== null, store.size], [true, 2]);
});
