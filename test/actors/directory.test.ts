import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BeatWatch } from '../../src/actors/beat-watch.ts';
import { Directory } from '../../src/actors/directory.ts';
import { chooseEngine } from '../../src/actors/routing.ts';
import type { EngineLoad } from '../../src/core/engine-load.ts';
import type { Epoch } from '../../src/core/ids.ts';
import type { EngineBeat } from '../../src/transport/messages.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const LOAD = { numRunning: 0, numWaiting: 0, maxNumSeqs: 8, numBlocks: 64, numUsedBlocks: 0, numCachedBlocks: 0, queuedPrefillTokens: 0 };

const beat = (overrides: Partial<Omit<EngineBeat, 'load'>> & { load?: Partial<EngineLoad> } = {}): EngineBeat => ({
  type: 'engineBeat',
  engineId: 'a',
  engineEpoch: [1, 1],
  peerId: 'peer-a',
  state: 'serving',
  fingerprint: 'f',
  reason: null,
  stepId: 0,
  counters: {},
  frameSeqs: [],
  ...overrides,
  load: { ...LOAD, ...overrides.load },
});

function newDirectory() {
  const clock = new VirtualClock();
  const lost: string[] = [];
  const onLost = (engine: { key: string }, reason: string) => void lost.push(`${engine.key}: ${reason}`);
  return { clock, lost, directory: new Directory({ clock, beatMs: 250, silenceMs: 3000, onLost }) };
}

const choose = (directory: Directory, wish: Partial<Parameters<typeof chooseEngine>[1]> = {}) =>
  chooseEngine(directory.engines(), { fingerprint: null, excluded: new Set(), ...wish })?.id ?? null;

test('the least occupied serving engine is chosen, requests sent since its beat included', () => {
  const { directory } = newDirectory();
  directory.heard(beat({ engineId: 'a', load: { numRunning: 2 } }));
  directory.heard(beat({ engineId: 'b', load: { numRunning: 1, numWaiting: 0 } }));
  directory.heard(beat({ engineId: 'c', state: 'loading' }));
  directory.heard(beat({ engineId: 'd', state: 'draining' }));
  assert.equal(choose(directory), 'b');
  directory.find('b.1-1')!.numSentSinceBeat = 2;
  assert.equal(choose(directory), 'a');
  directory.heard(beat({ engineId: 'b', load: { numRunning: 1 } }));
  assert.equal(choose(directory), 'b', 'a beat counts for itself');
});

test('ties go to the shorter prefill queue, then to the smaller id; size counts', () => {
  const { directory } = newDirectory();
  directory.heard(beat({ engineId: 'b' }));
  directory.heard(beat({ engineId: 'a', load: { queuedPrefillTokens: 5 } }));
  assert.equal(choose(directory), 'b');
  directory.heard(beat({ engineId: 'a' }));
  assert.equal(choose(directory), 'a');
  directory.heard(beat({ engineId: 'a', load: { numRunning: 4, maxNumSeqs: 8 } }));
  directory.heard(beat({ engineId: 'b', load: { numRunning: 5, maxNumSeqs: 64 } }));
  assert.equal(choose(directory), 'b');
});

test('excluded engines and those with another fingerprint are never chosen', () => {
  const { directory } = newDirectory();
  directory.heard(beat({ engineId: 'a' }));
  directory.heard(beat({ engineId: 'b', fingerprint: 'g', load: { numRunning: 3 } }));
  assert.equal(choose(directory, { excluded: new Set(['a.1-1']) }), 'b');
  assert.equal(choose(directory, { fingerprint: 'g' }), 'b');
  assert.equal(choose(directory, { fingerprint: 'h' }), null);
});

test('a later epoch replaces an earlier one, which is lost once and refused from then on', () => {
  const { directory, lost } = newDirectory();
  assert.equal(directory.heard(beat({ engineEpoch: [1, 5] })), true);
  assert.equal(directory.heard(beat({ engineEpoch: [2, 1], state: 'loading' })), true);
  assert.deepEqual(lost, ['a.1-5: engine a started again']);
  assert.equal(directory.heard(beat({ engineEpoch: [1, 5] })), false);
  assert.equal(choose(directory), null);
  assert.deepEqual([directory.hasServed, directory.isServing, directory.isLoading], [true, false, true]);
});

test('an engine is lost with its process, by its own word, and by silence', async () => {
  const { directory, lost, clock } = newDirectory();
  const epochs: Epoch[] = [
    [1, 1],
    [2, 1],
    [3, 1],
  ];
  directory.heard(beat({ engineEpoch: epochs[0]! }));
  directory.peerGone('peer-a');
  directory.peerGone('peer-a');
  directory.heard(beat({ engineEpoch: epochs[1]! }));
  directory.heard(beat({ engineEpoch: epochs[1]!, state: 'failed', reason: 'out of memory' }));
  directory.heard(beat({ engineEpoch: epochs[2]! }));
  for (let i = 0; i < 14; i++) {
    await clock.advance(250);
    directory.tick();
  }
  assert.deepEqual(lost, ['a.1-1: the process of engine a is gone', 'a.2-1: out of memory', 'a.3-1: engine a has been silent for 3000 ms']);
  assert.equal(directory.heard(beat({ engineEpoch: epochs[2]! })), false, 'one that was given up is not heard any more');
  assert.deepEqual(directory.fenced, [{ engineId: 'a', engineEpoch: epochs[2]! }]);
  assert.equal(directory.heard(beat({ engineEpoch: [4, 1] })), true, 'it is back under a later epoch');
  assert.deepEqual([directory.isServing, directory.fenced], [true, []]);
});

test('time in which the watcher itself was held up or cut off counts against nobody', async () => {
  const clock = new VirtualClock();
  const watch = new BeatWatch({ clock, silenceMs: 3000, tickMs: 250 });
  watch.heard('a');
  await clock.stall(10_000);
  assert.deepEqual(watch.tick(), [], 'held up for ten seconds: its beats wait unread');
  watch.suspend();
  for (let i = 0; i < 40; i++) {
    await clock.advance(250);
    assert.deepEqual(watch.tick(), []);
  }
  watch.resume();
  const silentAfter: number[] = [];
  for (let i = 1; i <= 14; i++) {
    await clock.advance(250);
    if (watch.tick().length > 0) silentAfter.push(i * 250);
  }
  assert.deepEqual(silentAfter, [3250]);
});

test('a beat that was on its way when its engine died does not bring it back; its next start is heard', () => {
  const { directory, lost } = newDirectory();
  directory.heard(beat());
  directory.peerGone('peer-a');
  assert.equal(directory.heard(beat()), false);
  assert.equal(choose(directory), null);
  assert.deepEqual(directory.fenced, [{ engineId: 'a', engineEpoch: [1, 1] }], 'one that lives learns that it has to come back anew');
  assert.equal(directory.heard(beat({ engineEpoch: [2, 1] })), true);
  assert.equal(choose(directory), 'a');
  assert.equal(lost.length, 1, 'one death, told once');
});
