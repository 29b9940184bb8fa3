/** An engine group as a frontend sees it: messages in, answers, frames and beats out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StartupError } from '../../src/core/errors.ts';
import type { Epoch } from '../../src/core/ids.ts';
import { GREEDY } from '../../src/core/sampling-params.ts';
import { decodeFrame, decodeReply, decodeToFrontend, encode } from '../../src/transport/codec.ts';
import type { Ack, AddRequest, EngineBeat, Nack, StepFrame } from '../../src/transport/messages.ts';
import { ENGINE_BEATS, engineControl, engineRequests, FRONTEND_BEATS, frontendFrames } from '../../src/transport/subjects.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { Cluster, type RunningGroup } from '../support/cluster.ts';

/** A frontend made of messages. */
class Wire {
  readonly frontendId: string;
  readonly epoch: Epoch;
  readonly frames: StepFrame[] = [];
  readonly beats: EngineBeat[] = [];
  readonly #cluster: Cluster;
  readonly #engine: RunningGroup;
  readonly #engineId: string;
  readonly #transport: Transport;

  constructor(cluster: Cluster, engine: RunningGroup, epoch: Epoch = [1, 1], engineId = 'engine-0') {
    this.frontendId = 'wire';
    this.epoch = epoch;
    this.#cluster = cluster;
    this.#engine = engine;
    this.#engineId = engineId;
    this.#transport = cluster.bus.connect(`wire-${epoch[0]}`);
    this.#transport.subscribe(frontendFrames(this.frontendId, epoch), ({ data }) => void this.frames.push(decodeFrame(data)));
    this.#transport.subscribe(ENGINE_BEATS, ({ data }) => void this.beats.push(decodeToFrontend(data)));
  }

  get peerId(): string {
    return this.#transport.peerId;
  }

  get lastBeat(): EngineBeat {
    return this.beats.at(-1)!;
  }

  async add(slot: number, overrides: Partial<AddRequest> = {}): Promise<Ack | Nack> {
    const request: AddRequest = {
      type: 'addRequest',
      frontendId: this.frontendId,
      frontendEpoch: this.epoch,
      requestId: `request-${slot}`,
      slot,
      attempt: 1,
      seed: 1n,
      promptIds: Uint32Array.of(5, 6, 7),
      cacheSalt: '',
      priority: 0,
      params: { ...GREEDY, maxTokens: 6 },
      controls: [],
      choices: [{ index: 0, outputIds: [], finished: false }],
      ...overrides,
    };
    const subject = engineRequests(this.#engineId, this.#engine.epoch);
    return decodeReply(await this.#cluster.clock.untilSettled(this.#transport.request(subject, encode(request), 2000)));
  }

  beat(ackedSeq: number): void {
    const acks = [{ engineId: this.#engineId, engineEpoch: this.#engine.epoch, frameSeq: ackedSeq }];
    this.#transport.publish(
      FRONTEND_BEATS,
      encode({ type: 'frontendBeat', frontendId: this.frontendId, frontendEpoch: this.epoch, peerId: this.peerId, acks }),
    );
  }

  control(
    message: { type: 'abort'; slot: number; attempt: number; choice: number | null } | { type: 'replay'; fromFrameSeq: number },
  ): void {
    const header = { frontendId: this.frontendId, frontendEpoch: this.epoch };
    this.#transport.publish(engineControl(this.#engineId, this.#engine.epoch), encode({ ...message, ...header }));
  }

  publishRaw(data: Uint8Array): void {
    this.#transport.publish(engineControl(this.#engineId, this.#engine.epoch), data);
  }

  async askToDrain(): Promise<Ack | Nack> {
    const subject = engineRequests(this.#engineId, this.#engine.epoch);
    return decodeReply(await this.#cluster.clock.untilSettled(this.#transport.request(subject, encode({ type: 'drain' }), 2000)));
  }
}

async function serving(stepMs = 10) {
  const cluster = new Cluster();
  const engine = cluster.startEngine('engine-0', { stepMs });
  const wire = new Wire(cluster, engine);
  await cluster.clock.untilSettled(engine.group.ready);
  await cluster.clock.advance(0);
  return { cluster, clock: cluster.clock, engine, wire };
}

const entriesOf = (frames: readonly StepFrame[]) => frames.flatMap((frame) => frame[6]);

test('beats tell each state at once, then every 250 ms with load and counters', async () => {
  const { clock, engine, wire } = await serving();
  assert.deepEqual(
    wire.beats.map((beat) => beat.state),
    ['loading', 'serving'],
  );
  assert.equal(wire.lastBeat.fingerprint, 'test');
  assert.equal(wire.lastBeat.load.numBlocks, 512);
  await clock.advance(1000);
  assert.equal(wire.beats.length, 2 + 4);
  await wire.add(1);
  await clock.advance(300);
  assert.equal(wire.lastBeat.counters.generation_tokens_total, 6);
  assert.equal(wire.lastBeat.counters.prompt_tokens_total, 3);
  assert.equal(wire.lastBeat.stepId, engine.rank.engine.stats().numSteps);
});

test('each step is one frame with contiguous numbers, for all requests of a frontend together', async () => {
  const { clock, wire } = await serving();
  await Promise.all([wire.add(1), wire.add(2)]);
  await clock.advance(200);
  assert.deepEqual(
    wire.frames.map((frame) => frame[4]),
    [1, 2, 3, 4, 5, 6],
  );
  assert.deepEqual(
    wire.frames.map((frame) => frame[6].map(([slot]) => slot)),
    Array.from({ length: 6 }, () => [1, 2]),
  );
  assert.deepEqual(
    entriesOf(wire.frames)
      .filter(([slot]) => slot === 2)
      .map(([, , , firstIndex]) => firstIndex),
    [0, 1, 2, 3, 4, 5],
  );
});

test('an add that comes again is answered again and run once', async () => {
  const { clock, engine, wire } = await serving();
  const [first, second] = await Promise.all([wire.add(1), wire.add(1)]);
  assert.deepEqual([first!.type, second!.type], ['ack', 'ack']);
  await clock.advance(500);
  assert.deepEqual(await wire.add(1), first, 'also after it is over');
  await clock.advance(200);
  assert.equal(engine.rank.posted.filter((message) => message.type === 'add').length, 1);
  assert.equal(entriesOf(wire.frames).length, 6);
});

test('an earlier start of a frontend is refused once a later one is known, and its requests are aborted', async () => {
  const { cluster, clock, engine, wire } = await serving();
  await wire.add(1, { params: { ...GREEDY, maxTokens: 200 } });
  await clock.advance(50);
  const later = new Wire(cluster, engine, [2, 1]);
  assert.equal((await later.add(1)).type, 'ack');
  await clock.advance(30);
  assert.equal(engine.rank.engine.stats().numRunning, 1, 'only the later one runs');
  const answer = await wire.add(2);
  assert.deepEqual([answer.type, (answer as Nack).code], ['nack', 'stale']);
});

test('a frontend whose process is gone has its requests aborted at once', async () => {
  const { cluster, clock, engine, wire } = await serving();
  await wire.add(1, { params: { ...GREEDY, maxTokens: 200 } });
  wire.beat(0);
  await clock.advance(50);
  await cluster.kill(wire);
  await clock.advance(20);
  const { numRunning, numUsedBlocks } = engine.rank.engine.stats();
  assert.deepEqual({ numRunning, numUsedBlocks }, { numRunning: 0, numUsedBlocks: 0 });
});

test('a frontend that is silent for five seconds has its requests aborted', async () => {
  const { clock, engine, wire } = await serving(100);
  await wire.add(1, { params: { ...GREEDY, maxTokens: 200 } });
  await clock.advance(3000);
  wire.beat(0);
  await clock.advance(4800);
  assert.equal(engine.rank.engine.stats().numRunning, 1);
  await clock.advance(700);
  assert.equal(engine.rank.engine.stats().numRunning, 0);
});

test('an abort ends one choice or all, and is confirmed by a finish', async () => {
  const { clock, engine, wire } = await serving();
  const choices = [0, 1].map((index) => ({ index, outputIds: [], finished: false }));
  await wire.add(1, { choices, params: { ...GREEDY, maxTokens: 200 } });
  await clock.advance(50);
  wire.control({ type: 'abort', slot: 1, attempt: 1, choice: 0 });
  await clock.advance(20);
  assert.equal(engine.rank.engine.stats().numRunning, 1);
  wire.control({ type: 'abort', slot: 1, attempt: 1, choice: null });
  await clock.advance(20);
  assert.equal(engine.rank.engine.stats().numRunning, 0);
  const finishes = entriesOf(wire.frames).filter((entry) => entry[5] !== null);
  assert.deepEqual(
    finishes.map((entry) => [entry[2], entry[5]]),
    [
      [0, 'abort'],
      [1, 'abort'],
    ],
  );
});

test('unacknowledged frames are sent again from the number asked for, acknowledged ones are gone', async () => {
  const { clock, wire } = await serving();
  await wire.add(1);
  await clock.advance(200);
  const original = wire.frames.splice(0);
  wire.control({ type: 'replay', fromFrameSeq: 3 });
  await clock.advance(0);
  assert.deepEqual(wire.frames, original.slice(2));
  wire.beat(4);
  await clock.advance(0);
  wire.frames.length = 0;
  wire.control({ type: 'replay', fromFrameSeq: 3 });
  await clock.advance(0);
  assert.deepEqual(wire.frames, []);
  wire.control({ type: 'replay', fromFrameSeq: 5 });
  await clock.advance(0);
  assert.deepEqual(wire.frames, original.slice(4));
});

test('beats repeat the last frame number, so that a lost last frame is noticed', async () => {
  const { clock, wire } = await serving();
  await wire.add(1);
  await clock.advance(500);
  assert.deepEqual(wire.lastBeat.frameSeqs, [{ frontendId: 'wire', frontendEpoch: [1, 1], frameSeq: 6 }]);
});

test('while loading, adds are refused with a time to retry', async () => {
  const cluster = new Cluster();
  const engine = cluster.startEngine('engine-0', { loadMs: 1000 });
  const wire = new Wire(cluster, engine);
  await cluster.clock.advance(100);
  const answer = (await wire.add(1)) as Nack;
  assert.deepEqual([answer.type, answer.code, answer.retryAfterMs], ['nack', 'loading', 1000]);
  await cluster.clock.untilSettled(engine.group.ready);
  assert.equal((await wire.add(1)).type, 'ack', 'the same attempt may come again');
});

test('a prompt that does not fit is refused as too_long', async () => {
  const { wire } = await serving();
  const answer = (await wire.add(1, { promptIds: new Uint32Array(256).fill(5) })) as Nack;
  assert.deepEqual([answer.type, answer.code], ['nack', 'too_long']);
});

test('a draining group refuses, finishes what runs, and is drained when every frame is acknowledged', async () => {
  const { clock, engine, wire } = await serving();
  await wire.add(1);
  wire.beat(0);
  assert.equal((await wire.askToDrain()).type, 'ack');
  const refused = (await wire.add(2)) as Nack;
  assert.deepEqual([refused.type, refused.code], ['nack', 'draining']);
  await clock.advance(300);
  assert.equal(entriesOf(wire.frames).at(-1)![5], 'length');
  assert.equal(engine.group.state, 'draining', 'the frontend has not acknowledged yet');
  wire.beat(6);
  await clock.advance(0);
  assert.equal(engine.group.state, 'drained');
  await clock.untilSettled(engine.group.drain());
});

test('a group that drains before it served is drained at once', async () => {
  const cluster = new Cluster();
  const engine = cluster.startEngine('engine-0', { loadMs: 1000 });
  await cluster.clock.untilSettled(engine.group.drain(), 10);
  assert.equal(engine.group.state, 'drained');
});

test('loading progress is told as the rank reports it', async () => {
  const cluster = new Cluster();
  const progress: [string, number][] = [];
  const engine = cluster.startEngine('engine-0', { onLoading: (stage, fraction) => void progress.push([stage, fraction]) });
  await cluster.clock.untilSettled(engine.group.ready);
  assert.deepEqual(progress, [
    ['weights', 0],
    ['weights', 0.5],
  ]);
});

test('stopping ends the rank, rejects whoever waits for it to serve, and leaves no timer', async () => {
  const cluster = new Cluster();
  const engine = cluster.startEngine('engine-0', { loadMs: 1000 });
  const ready = assert.rejects(engine.group.ready, /stopped before it served/);
  await cluster.clock.untilSettled(engine.group.stop());
  await ready;
  assert.deepEqual(await engine.group.ended, { error: null });
  assert.equal(engine.group.state, 'stopped');
  await engine.group.stop();
  await cluster.clock.advance(60_000);
  assert.equal(cluster.clock.numTimers, 0);
});

test('a rank that does not end when asked is terminated after ten seconds', async () => {
  const { clock, engine } = await serving();
  engine.rank.post = () => {};
  const startedAt = clock.monotonic();
  await clock.untilSettled(engine.group.stop());
  assert.equal(clock.monotonic() - startedAt, 10_000);
});

test("an operator's mistake that the rank reports rejects ready as a StartupError", async () => {
  const cluster = new Cluster();
  const engine = cluster.startEngine('engine-0', { loadMs: 1000, startupError: 'model.safetensors: cut off at byte 12' });
  const wire = new Wire(cluster, engine);
  await assert.rejects(cluster.clock.untilSettled(engine.group.ready), (error: unknown) => {
    assert.ok(error instanceof StartupError);
    assert.equal(error.message, 'model.safetensors: cut off at byte 12');
    return true;
  });
  assert.equal(engine.group.state, 'failed');
  assert.deepEqual([wire.lastBeat.state, wire.lastBeat.reason], ['failed', 'model.safetensors: cut off at byte 12']);
});

test('messages that cannot be read are refused and change nothing', async () => {
  const { clock, engine, wire } = await serving();
  wire.publishRaw(Uint8Array.of(0xc1, 0xff, 0x00));
  await clock.advance(10);
  assert.equal((await wire.add(1)).type, 'ack');
  assert.equal(engine.group.state, 'serving');
});
