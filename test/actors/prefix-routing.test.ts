/** Frontends know what the engines' prefix caches hold, and send requests there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { engineKey } from '../../src/actors/directory.ts';
import { PrefixIndex, PromptBlocks } from '../../src/actors/prefix-index.ts';
import { PrefixSync } from '../../src/actors/prefix-sync.ts';
import { decodeToFrontend } from '../../src/transport/codec.ts';
import type { LoopbackTransport } from '../../src/transport/loopback.ts';
import { ENGINE_BEATS } from '../../src/transport/subjects.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { TransportError } from '../../src/transport/transport.ts';
import { Cluster, type RunningGroup } from '../support/cluster.ts';
import { makeRequest } from '../support/engine-factory.ts';
import { generate, generateRequest } from '../support/generate.ts';
import { type Random, seededRandom } from '../support/seeded-random.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';

/** What a network does to KV events and dumps while it is bad. */
interface Weather {
  isBad: boolean;
  lossPercent: number;
  duplicatePercent: number;
  maxDelayMs: number;
  numLost: number;
  numLate: number;
}

const weather = (over: Partial<Weather>): Weather => ({
  isBad: true,
  lossPercent: 0,
  duplicatePercent: 0,
  maxDelayMs: 0,
  numLost: 0,
  numLate: 0,
  ...over,
});

/** Late messages overtake each other, also on the same subject. */
function exposed(transport: LoopbackTransport, clock: VirtualClock, random: Random, sky: Weather): Transport {
  const publish = transport.publish.bind(transport);
  const request = transport.request.bind(transport);
  const isLost = (): boolean => {
    const lost = sky.isBad && random.below(100) < sky.lossPercent;
    if (lost) sky.numLost++;
    return lost;
  };
  transport.publish = (subject, data) => {
    if (!subject.includes('.kv.') || !sky.isBad) return publish(subject, data);
    const numCopies = isLost() ? 0 : random.below(100) < sky.duplicatePercent ? 2 : 1;
    for (let i = 0; i < numCopies; i++) {
      const delayMs = random.below(sky.maxDelayMs + 1);
      if (delayMs > 0) sky.numLate++;
      clock.setTimeout(() => publish(subject, data), delayMs);
    }
  };
  transport.request = async (subject, data, timeoutMs) => {
    if (!isLost() && !isLost()) return request(subject, data, timeoutMs); // there or back
    await new Promise<void>((resolve) => clock.setTimeout(resolve, timeoutMs));
    throw new TransportError('timeout', 'lost');
  };
  return transport;
}

/** A frontend's index alone. */
function watch(transport: Transport) {
  const index = new PrefixIndex();
  const refused: string[] = [];
  const sync = new PrefixSync({ transport, index, onRefused: (reason) => void refused.push(reason) });
  transport.subscribe(ENGINE_BEATS, ({ data }) => sync.heard(decodeToFrontend(data)));
  return { index, sync, refused };
}

const truthOf = ({ rank }: RunningGroup): string[] => [...rank.engine.cachedHashes()].sort();
const known = (index: PrefixIndex, engineId: string, { epoch }: RunningGroup): string[] =>
  [...index.blocksOf(engineKey(engineId, epoch))].sort();

/** Prompts that share beginnings, on a cache that is far too small for them. */
function churn(group: RunningGroup, random: Random, tag: number): void {
  const family = random.below(6);
  const length = 8 + random.below(40);
  const promptIds = Uint32Array.from({ length }, (_, i) => (i < 16 ? family * 3 + i : random.below(30)) % 32);
  const { key, ...request } = makeRequest({ params: { maxTokens: 1 + random.below(12) } });
  group.rank.post({ type: 'add', tag, request: { ...request, key: `${key}-${tag}`, promptIds } });
}

for (const [title, sky] of [
  ['5 % loss', weather({ lossPercent: 5 })],
  ['20 % loss', weather({ lossPercent: 20 })],
  ['50 % loss, duplicates and reordering', weather({ lossPercent: 50, duplicatePercent: 20, maxDelayMs: 200 })],
  ['reordering and duplicates alone', weather({ duplicatePercent: 30, maxDelayMs: 150 })],
] as const) {
  test(`the index equals the engines' caches 2 s after ${title} end, with an engine that starts again meanwhile`, async () => {
    const random = seededRandom(11 + sky.lossPercent);
    const cluster = new Cluster({
      engine: { blockSize: 4, numBlocks: 48, maxNumSeqs: 4, maxModelLen: 64 },
      wrap: (transport, clock) => exposed(transport, clock, random, sky),
    });
    const watcher = watch(exposed(cluster.bus.connect('watcher'), cluster.clock, random, sky));
    let engines = [cluster.startEngine('engine-0'), cluster.startEngine('engine-1')];
    await cluster.clock.advance(100);
    for (let i = 0; i < 300; i++) {
      churn(engines[i % 2]!, random, i);
      await cluster.clock.advance(20 + random.below(20));
      if (i !== 150) continue;
      await cluster.kill(engines[0]!);
      watcher.sync.forget('engine-0');
      engines = [cluster.startEngine('engine-0'), engines[1]!];
    }
    assert.ok(sky.lossPercent === 0 || sky.numLost > 5, `${sky.numLost} were lost`);
    assert.ok(sky.maxDelayMs === 0 || sky.numLate > 50, `${sky.numLate} were late`);
    assert.ok(watcher.sync.numDumps > 0, 'gaps were noticed');
    sky.isBad = false;
    churn(engines[0]!, random, 1000);
    await cluster.clock.advance(2000);
    for (const [i, engine] of engines.entries()) {
      assert.ok(truthOf(engine).length > 10, 'there is something to know');
      assert.deepEqual(known(watcher.index, `engine-${i}`, engine), truthOf(engine), `engine-${i}`);
    }
    assert.equal(
      watcher.index.numBlocks,
      engines.reduce((sum, engine) => sum + truthOf(engine).length, 0),
    );
  });
}

test('without faults no dump is asked for, and events that change nothing are not sent', async () => {
  const cluster = new Cluster({ engine: { blockSize: 4, numBlocks: 48, maxNumSeqs: 4, maxModelLen: 64 } });
  const transport = cluster.bus.connect('watcher');
  let numEvents = 0;
  transport.subscribe('troupe.v1.kv.>', () => void numEvents++);
  const watcher = watch(transport);
  const engine = cluster.startEngine();
  const random = seededRandom(5);
  await cluster.clock.advance(100);
  for (let i = 0; i < 50; i++) churn(engine, random, i);
  await cluster.clock.advance(20);
  await cluster.clock.until(() => !engine.rank.engine.hasWork);
  await cluster.clock.advance(100);
  assert.deepEqual(known(watcher.index, 'engine-0', engine), truthOf(engine));
  assert.equal(watcher.sync.numDumps, 0);
  const numBefore = numEvents;
  assert.ok(numBefore > 3);
  await cluster.clock.advance(60_000);
  assert.equal(numEvents, numBefore);
});

test('a frontend that comes later asks for everything once', async () => {
  const cluster = new Cluster({ engine: { blockSize: 4, numBlocks: 48, maxNumSeqs: 4, maxModelLen: 64 } });
  const engine = cluster.startEngine();
  const random = seededRandom(6);
  await cluster.clock.advance(100);
  for (let i = 0; i < 20; i++) churn(engine, random, i);
  await cluster.clock.advance(3000);
  const watcher = watch(cluster.bus.connect('late'));
  await cluster.clock.advance(300);
  assert.deepEqual(known(watcher.index, 'engine-0', engine), truthOf(engine));
  assert.equal(watcher.sync.numDumps, 1);
});

test('a full index notes nothing new, and counts right when blocks go', () => {
  const index = new PrefixIndex({ maxBlocks: 3 });
  index.apply('a', ['1', '2'], []);
  index.apply('b', ['1', '2'], []);
  assert.equal(index.numBlocks, 3);
  index.apply('b', ['3'], ['1']);
  assert.deepEqual([...index.blocksOf('b')], ['3']);
  index.drop('a');
  index.replace('b', ['4', '5', '6', '7']);
  assert.equal(index.numBlocks, 3);
});

test('a prompt never counts its last token as cached, and salts and fingerprints do not mix', () => {
  const options = { tokenIds: [1, 2, 3, 4, 5, 6, 7, 8], blockSize: 4, fingerprint: 'f', cacheSalt: '' };
  const prompt = new PromptBlocks(options);
  assert.equal(prompt.length, 1);
  const index = new PrefixIndex();
  index.apply('a', [prompt.hash(0)], []);
  assert.equal(index.numCached('a', new PromptBlocks({ ...options, tokenIds: [1, 2, 3, 4, 9] })), 1);
  assert.equal(index.numCached('a', new PromptBlocks({ ...options, cacheSalt: 's' })), 0);
  assert.equal(index.numCached('a', new PromptBlocks({ ...options, fingerprint: 'g' })), 0);
  assert.equal(index.numCached('b', prompt), 0);
});

test('routing finds at least 95 % of the cached tokens that an all-knowing router would find', async () => {
  const cluster = new Cluster({ engine: { blockSize: 4, numBlocks: 256, maxNumSeqs: 8 } });
  const engines = Array.from({ length: 4 }, (_, i) => cluster.startEngine(`engine-${i}`));
  const random = seededRandom(21);
  const { frontend } = cluster.startFrontend('frontend-0', { random: () => random.below(1000) / 1000 });
  await cluster.clock.until(() => frontend.engines().filter((engine) => engine.state === 'serving').length === 4);
  let numFound = 0;
  let numBest = 0;
  for (let i = 0; i < 120; i++) {
    const family = random.below(12);
    const tokenIds = Array.from({ length: 48 }, (_, j) => (j < 40 ? 5 + ((family * 7 + j) % 90) : 5 + random.below(90)));
    const prompt = new PromptBlocks({ tokenIds, blockSize: 4, fingerprint: 'test', cacheSalt: '' });
    const cached = engines.map(({ rank }) => {
      const blocks = new Set(rank.engine.cachedHashes());
      let num = 0;
      while (num < prompt.length && blocks.has(prompt.hash(num))) num++;
      return num * 4;
    });
    numBest += Math.max(...cached);
    const request = generateRequest({ requestId: `r${i}`, prompt: { type: 'tokens', tokenIds }, sampling: { maxTokens: 4 } });
    const { usage } = await cluster.clock.untilSettled(generate(frontend, request));
    numFound += usage.cachedTokens;
    await cluster.clock.advance(60);
  }
  assert.ok(numBest > 3000, `${numBest} tokens could be found`);
  const numUsed = engines.filter(({ rank }) => rank.engine.stats().numSteps > 0).length;
  assert.ok(numUsed >= 3, `${numUsed} engines got some`);
  assert.ok(numFound >= 0.95 * numBest, `${numFound} of ${numBest} were found`);
});
