/**
 * What do ranks cost? One rank with all threads against two that share them, and how much of a step two ranks spend in their exchanges,
 * by carrier: shared memory, TCP (both nodes in this process, over loopback), NATS (with --nats).
 */
import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { startFollowingNode } from '../src/actors/following-node.ts';
import { spawnLeadingNode } from '../src/actors/leading-node.ts';
import { spawnRankGroup } from '../src/actors/rank-group.ts';
import type { RankPort, Turn } from '../src/actors/rank-port.ts';
import { newRankWake, type RankSpec, spawnRankThread } from '../src/actors/thread-rank.ts';
import { inspectCheckpoint } from '../src/checkpoint/inspect.ts';
import { collectiveMemoryFor } from '../src/spawn-ranks.ts';
import { systemClock } from '../src/system-clock.ts';
import { connectForFrames, type FrameLink, listenForFrames } from '../src/transport/frame-link.ts';
import { NatsTransport } from '../src/transport/nats-transport.ts';
import { callOnTransport, listenOnTransport } from '../src/transport/transport-frame-link.ts';
import { type Command, integer, oneOf, readFlags, runBench, text } from './flags.ts';
import { benchRequest } from './open-engine.ts';
import { seededRandom } from './random-workload.ts';
import { shapeNamed } from './shapes.ts';
import { formatNumber, formatTable } from './table.ts';
import { ensureCheckpoint } from './write-checkpoint.ts';

const FLAGS = {
  shape: text(null, 'NAME', 'Random weights of this shape (bench/shapes.ts). Default: the embedded troupe-mini.'),
  quantization: oneOf(['none', 'wint8', 'wint4'], 'none', 'Weight-only quantisation.'),
  threads: integer(availableParallelism(), 'Threads of all ranks together.'),
  batch: integer(1, 'Sequences that decode together.'),
  'input-len': integer(128, 'Prompt tokens of each.'),
  'output-len': integer(64, 'Output tokens of each.', 2),
  rounds: integer(3, 'Each case so many times, in turn; the median counts.'),
  nats: text(null, 'URL', 'Also measure through these NATS servers.'),
};
const COMMAND: Command<typeof FLAGS> = { usage: 'npm run bench:distributed -- tp', question: 'What do ranks cost?', flags: FLAGS };
const SIZE = 2;
const deadlineMs = 30_000;

interface Measure {
  readonly tokensPerSecond: number;
  /** Of the time of decode steps, spent in exchanges by rank 0, waiting for rank 1 included. */
  readonly share: number | null;
}

interface OpenRanks {
  readonly port: RankPort;
  close(): Promise<void>;
}

await runBench(async (argv) => {
  const { flags } = readFlags(COMMAND, argv[0] === 'tp' ? argv.slice(1) : argv);
  const modelDir =
    flags.shape === null ? fileURLToPath(new URL('../models/troupe-mini', import.meta.url)) : ensureCheckpoint(shapeNamed(flags.shape));
  const maxModelLen = Math.ceil((flags['input-len'] + flags['output-len'] + 1) / 64) * 64;
  const { kvBytesPerToken, config } = inspectCheckpoint(modelDir);
  const spec = (threads: number): RankSpec => ({
    groupEpoch: [1, 1],
    maxNumBatchedTokens: 256,
    enablePrefixCaching: false,
    enableChunkedPrefill: true,
    maxNumWaiting: flags.batch,
    runner: {
      modelDir,
      quantization: flags.quantization as 'none',
      device: 'cpu',
      threads,
      layout: { maxNumSeqs: flags.batch, maxModelLen, blockSize: 64 },
      kvCacheMemoryBytes: 2 * flags.batch * maxModelLen * kvBytesPerToken,
      maxNumBatchedTokens: 256,
    },
  });
  const random = seededRandom(1);
  const prompts = Array.from({ length: flags.batch }, () =>
    Array.from({ length: flags['input-len'] }, () => 10 + Math.floor(random() * (config.vocabSize - 20))),
  );
  const each = Math.max(1, Math.floor(flags.threads / SIZE));
  const cases: [string, () => Promise<OpenRanks>][] = [
    [`1 rank, ${flags.threads} threads`, async () => opened(spawnRankThread(spec(flags.threads)))],
    [`${SIZE} ranks, ${each} each, shared memory`, async () => opened(sharedMemoryRanks(spec(each)))],
    [`${SIZE} ranks, ${each} each, TCP`, () => tcpRanks(spec(each))],
  ];
  const { nats } = flags;
  if (nats !== null) cases.push([`${SIZE} ranks, ${each} each, NATS`, () => natsRanks(spec(each), nats)]);
  const measures = new Map<string, Measure[]>();
  for (let round = 0; round < flags.rounds; round++) {
    for (const [name, open] of cases)
      measures.set(name, [...(measures.get(name) ?? []), await measure(await open(), prompts, flags['output-len'])]);
  }
  const medianOf = (name: string): Measure => measures.get(name)!.sort((a, b) => a.tokensPerSecond - b.tokensPerSecond)[flags.rounds >> 1]!;
  const base = medianOf(cases[0]![0]).tokensPerSecond;
  const rows = cases.map(([name]) => {
    const { tokensPerSecond, share } = medianOf(name);
    return [
      name,
      formatNumber(tokensPerSecond),
      formatNumber(tokensPerSecond / base),
      share === null ? '' : `${formatNumber(100 * share)} %`,
    ];
  });
  console.log(formatTable(['', 'decode, tokens/s', 'of one rank', 'in exchanges'], rows));
  process.exit(0);
});

function sharedMemoryRanks(spec: RankSpec): RankPort {
  return spawnRankGroup({ spec, size: SIZE, memory: collectiveMemoryFor(spec.runner.modelDir, SIZE), deadlineMs });
}

async function tcpRanks(spec: RankSpec): Promise<OpenRanks> {
  let take: (link: FrameLink) => void = () => {};
  const server = await listenForFrames('127.0.0.1', 0, systemClock, (link) => take(link));
  return nodes(
    spec,
    async (given) => {
      take = given;
      return server;
    },
    () => connectForFrames('127.0.0.1', server.port, systemClock),
  );
}

async function natsRanks(spec: RankSpec, url: string): Promise<OpenRanks> {
  const name = `bench-${randomBytes(4).toString('hex')}`;
  const open = (peer: string): Promise<NatsTransport> =>
    NatsTransport.open({ servers: [url], cluster: name, peerId: `${name}.${peer}`, clock: systemClock });
  const [own, other] = [await open('0'), await open('1')];
  const ranks = await nodes(
    spec,
    async (take) => listenOnTransport(own, `${name}.group`, systemClock, take),
    () => callOnTransport(other, `${name}.group`, 'node-1', systemClock),
  );
  return {
    port: ranks.port,
    close: async () => {
      await ranks.close();
      await own.close();
      await other.close();
    },
  };
}

async function nodes(
  spec: RankSpec,
  listen: (take: (link: FrameLink) => void) => Promise<{ close(): void }>,
  call: () => Promise<FrameLink>,
): Promise<OpenRanks> {
  const { layout, kvCacheMemoryBytes, maxNumBatchedTokens, ...runner } = spec.runner;
  const common = { clock: systemClock, numNodes: SIZE, size: SIZE, model: 'bench', secret: '', deadlineMs: 60_000, address: 'loopback' };
  const port = spawnLeadingNode({
    rendezvous: { ...common, node: 0 },
    spec,
    plan: { groupEpoch: spec.groupEpoch, layout, kvCacheMemoryBytes, maxNumBatchedTokens, collectiveDeadline: deadlineMs },
    listen,
    random: () => randomBytes(8).toString('hex'),
    memory: collectiveMemoryFor(runner.modelDir, SIZE),
    wake: newRankWake(),
  });
  const follower = startFollowingNode({
    rendezvous: { ...common, node: 1 },
    call,
    runner,
    memory: collectiveMemoryFor(runner.modelDir, SIZE),
    onLoading: () => {},
    onReady: () => {},
  });
  const ranks = opened(port);
  return {
    port,
    close: async () => {
      await ranks.close();
      follower.stop();
    },
  };
}

function opened(port: RankPort): OpenRanks {
  const exited = new Promise<void>((resolve) => port.onExit(() => resolve()));
  return {
    port,
    close: async () => {
      port.post({ type: 'stop' });
      await exited;
    },
  };
}

/** Decode alone: from the turn in which the last sequence had its first token. */
async function measure({ port, close }: OpenRanks, prompts: readonly (readonly number[])[], outputLen: number): Promise<Measure> {
  const numTokens = new Map<string, number>();
  let begun: { ms: number; seconds: number; tokens: number } | null = null;
  let tokens = 0;
  const result = await new Promise<Measure>((resolve, reject) => {
    const count = (turn: Turn): void => {
      for (const { key, ids } of turn.outputs) {
        numTokens.set(key, (numTokens.get(key) ?? 0) + ids.length);
        tokens += ids.length;
      }
      const seconds = turn.collective?.seconds ?? 0;
      if (numTokens.size < prompts.length) return;
      begun ??= { ms: performance.now(), seconds, tokens };
      if ([...numTokens.values()].some((count) => count < outputLen)) return;
      const elapsed = (performance.now() - begun.ms) / 1000;
      resolve({
        tokensPerSecond: (tokens - begun.tokens) / elapsed,
        share: turn.collective ? (seconds - begun.seconds) / elapsed : null,
      });
    };
    port.onMessage((message) => {
      if (message.type === 'failed') reject(new Error(message.message));
      else if (message.type === 'turn') count(message.turn);
      else if (message.type === 'ready') {
        for (const [i, ids] of prompts.entries()) {
          const request = { ...benchRequest(`r${i}`, ids, outputLen, 'bench'), promptIds: Uint32Array.from(ids) };
          port.post({ type: 'add', tag: i, request });
        }
      }
    });
  });
  await close();
  return result;
}
