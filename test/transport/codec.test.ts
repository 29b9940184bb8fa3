import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { Packr } from 'msgpackr';
import { GREEDY } from '../../src/core/sampling-params.ts';
import { decodeFrame, decodeReply, decodeToEngine, decodeToFrontend, encode, encodeFrame } from '../../src/transport/codec.ts';
import type { ToEngine } from '../../src/transport/messages.ts';
import { ProtocolError } from '../../src/transport/protocol-error.ts';
import { addRequest, engineBeat, replies, stepFrame, toEngineMessages, toFrontendMessages } from '../support/messages.ts';
import { seededRandom } from '../support/seeded-random.ts';

const frames = [stepFrame(), stepFrame([])];
const samples = [
  ...toEngineMessages.map((message) => ({ kind: 'toEngine', message, data: encode(message), decode: decodeToEngine })),
  ...toFrontendMessages.map((message) => ({ kind: 'toFrontend', message, data: encode(message), decode: decodeToFrontend })),
  ...replies.map((message) => ({ kind: 'reply', message, data: encode(message), decode: decodeReply })),
  ...frames.map((message) => ({ kind: 'frame', message, data: encodeFrame(message), decode: decodeFrame })),
];
const plain = new Packr({ useRecords: false, moreTypes: true });
const isProtocolError = (code: ProtocolError['code']) => (error: unknown) => error instanceof ProtocolError && error.code === code;

for (const { kind, message, data, decode } of samples) {
  test(`${kind} ${'type' in message ? message.type : 'stepFrame'} arrives as it was sent`, () => {
    assert.deepEqual(decode(data), message);
  });
}

test('another process decodes the same from the bytes alone', () => {
  const input = samples.map(({ kind, data }) => `${kind} ${Buffer.from(data).toString('hex')}`).join('\n');
  const child = spawnSync(process.execPath, ['--import', 'tsx', 'test/support/decode-process.ts'], { input, encoding: 'utf8' });
  assert.equal(child.status, 0, child.stderr);
  const show = (value: unknown): string =>
    inspect(value, { depth: null, compact: true, breakLength: Number.POSITIVE_INFINITY, sorted: true });
  assert.deepEqual(
    child.stdout.trimEnd().split('\n'),
    samples.map(({ message }) => show(message)),
  );
});

test('bytes stay as they are when more is encoded', () => {
  const data = encode(engineBeat());
  const copy = Buffer.from(data);
  for (let i = 0; i < 10_000; i++) encode(engineBeat({ stepId: i }));
  assert.ok(copy.equals(data));
});

test('token ids take four bytes each', () => {
  const numIds = 10_000;
  const ids = Array.from({ length: numIds }, (_, i) => i * 10);
  const empty = encode(addRequest({ promptIds: new Uint32Array(0), choices: [{ index: 0, outputIds: [], finished: false }] }));
  const full = encode(addRequest({ promptIds: Uint32Array.from(ids), choices: [{ index: 0, outputIds: ids, finished: false }] }));
  assert.ok(full.byteLength - empty.byteLength <= 2 * 4 * numIds + 16, `${full.byteLength - empty.byteLength} bytes`);
});

test('seeds keep all 64 bits, small ones too', () => {
  for (const seed of [0n, 1n, 255n, 2n ** 32n, 2n ** 53n + 1n, 2n ** 63n - 1n, 2n ** 64n - 1n]) {
    const message = decodeToEngine(encode(addRequest({ seed })));
    assert.equal(message.type === 'addRequest' && message.seed, seed);
  }
});

test('fields that are not known are ignored, in frames too', () => {
  const message = decodeToEngine(plain.pack({ v: 1, type: 'drain', later: { deep: [1] } }));
  assert.equal(message.type, 'drain');
  const [version, ...rest] = stepFrame();
  const longer = [...rest];
  longer[5] = stepFrame()[6].map((entry) => [...entry, null, null, 'new']) as never;
  const frame = decodeFrame(plain.pack([version, ...longer, 'new']));
  assert.deepEqual(frame[6][0]?.slice(0, 8), stepFrame()[6][0]);
});

test('sampling parameters that an older sender does not know are neutral', () => {
  const { minP: _, ...older } = addRequest().params;
  const message = decodeToEngine(encode(addRequest({ params: older as never })));
  assert.equal(message.type === 'addRequest' && message.params.minP, GREEDY.minP);
});

test('another version is refused as such', () => {
  assert.throws(() => decodeToEngine(plain.pack({ v: 2, type: 'drain' })), isProtocolError('version'));
  assert.throws(() => decodeToFrontend(plain.pack({ ...engineBeat(), v: 0 })), isProtocolError('version'));
  assert.throws(() => decodeFrame(plain.pack([2, ...stepFrame().slice(1)])), isProtocolError('version'));
});

test('a missing or wrong field is named', () => {
  const { slot: _, ...withoutSlot } = addRequest();
  assert.throws(() => decodeToEngine(encode(withoutSlot as never)), /Field "slot" of a addRequest message/);
  assert.throws(() => decodeToEngine(encode(addRequest({ frontendEpoch: [1] as never }))), /"frontendEpoch"/);
  assert.throws(() => decodeToEngine(plain.pack({ v: 1, ...addRequest(), type: 'abort', slot: null })), ProtocolError);
  assert.throws(() => decodeToFrontend(encode(engineBeat({ load: {} as never }))), /"load"/);
  assert.throws(() => decodeFrame(encodeFrame(stepFrame([[1, 2, 0, 0, 5 as never, null, null, null]]))), /Entry 0 .* from engine-0/);
});

test('a message for somebody else is refused', () => {
  assert.throws(() => decodeToEngine(encode(engineBeat())), /type "engineBeat" is not one of addRequest/);
  assert.throws(() => decodeReply(encode({ type: 'drain' })), isProtocolError('malformed'));
  assert.throws(() => decodeFrame(encode({ type: 'drain' })), isProtocolError('malformed'));
  assert.throws(() => decodeToEngine(plain.pack({ v: 1, type: 'constructor' })), isProtocolError('malformed'));
  assert.throws(() => decodeToEngine(encodeFrame(stepFrame())), isProtocolError('malformed'));
});

test('damaged bytes are a ProtocolError or a whole message, never anything else', () => {
  const random = seededRandom(5);
  for (let round = 0; round < 3000; round++) {
    const { data, decode } = samples[random.below(samples.length)] as (typeof samples)[number];
    const damaged = Uint8Array.from(data.subarray(0, random.below(3) === 0 ? random.below(data.length) : data.length));
    for (let i = 0; i < 1 + random.below(4) && damaged.length > 0; i++) damaged[random.below(damaged.length)] = random.below(256);
    let message: ToEngine | unknown;
    try {
      message = decode(damaged);
    } catch (error) {
      assert.ok(error instanceof ProtocolError, String(error));
      continue;
    }
    assert.equal(typeof message, 'object');
  }
});
