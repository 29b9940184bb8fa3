/**
 * Frontends and engine groups as in production, on one virtual clock: real actors, real engines, real messages; only the model is scripted,
 * and the transport's wires are memory.
 */
import { type EngineGroup, startEngineGroup } from '../../src/actors/engine-group.ts';
import { createFrontend, type Frontend, type FrontendOptions } from '../../src/actors/frontend.ts';
import type { RequestObservation } from '../../src/actors/frontend-metrics.ts';
import type { Epoch } from '../../src/core/ids.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import { LoopbackBus, type LoopbackTransport } from '../../src/transport/loopback.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { type EngineKnobs, makeEngine } from './engine-factory.ts';
import { InProcessRank } from './in-process-rank.ts';
import { silentLog } from './silent-log.ts';
import { VirtualClock } from './virtual-clock.ts';

const MODEL_DIR = new URL('../../models/troupe-mini', import.meta.url).pathname;
let tokenizer: Tokenizer | undefined;
/** troupe-mini's, loaded once. */
export const testTokenizer = (): Tokenizer => {
  tokenizer ??= Tokenizer.load(MODEL_DIR);
  return tokenizer;
};

export interface RunningGroup {
  readonly group: EngineGroup;
  readonly rank: InProcessRank;
  readonly peerId: string;
  readonly epoch: Epoch;
  readonly transport: Transport;
}

export interface RunningFrontend {
  readonly frontend: Frontend;
  readonly peerId: string;
  readonly epoch: Epoch;
  readonly transport: Transport;
  readonly observations: RequestObservation[];
  readonly refused: string[];
  numReplays: number;
}

export interface ClusterOptions {
  readonly engine?: EngineKnobs;
  readonly maxModelLen?: number;
  /** Around every transport, e.g. to lose messages. */
  readonly wrap?: (transport: LoopbackTransport, clock: VirtualClock) => Transport;
}

export class Cluster {
  readonly clock = new VirtualClock();
  readonly bus = new LoopbackBus({ clock: this.clock });
  readonly #options: ClusterOptions;
  #incarnation = 1;

  constructor(options: ClusterOptions = {}) {
    this.#options = options;
  }

  /** Starts an engine group; it serves after 10 ms unless told otherwise. */
  startEngine(
    engineId = 'engine-0',
    options: {
      readonly loadMs?: number;
      readonly stepMs?: number;
      readonly fingerprint?: string;
      readonly startupError?: string;
      readonly onLoading?: (stage: string, fraction: number) => void;
      readonly knobs?: EngineKnobs;
    } = {},
  ): RunningGroup {
    const epoch: Epoch = [this.#incarnation++, 7];
    const peerId = `${engineId}-${epoch[0]}`;
    const transport = this.#connect(peerId);
    const { knobs, onLoading = () => {}, ...timing } = options;
    const sizes = {
      maxNumSeqs: 8,
      maxModelLen: this.#options.maxModelLen ?? 256,
      numBlocks: 512,
      fingerprint: timing.fingerprint ?? 'test',
    };
    const all = { ...sizes, ...this.#options.engine, ...knobs, groupEpoch: epoch };
    const { engine } = makeEngine({ ...all, script: { vocabSize: testTokenizer().vocabSize, ...all.script } });
    const rank = new InProcessRank({ clock: this.clock, engine, ...timing });
    const group = startEngineGroup({
      engineId,
      epoch,
      transport,
      clock: this.clock,
      log: silentLog,
      maxNumSeqs: all.maxNumSeqs,
      spawnRank: () => rank,
      newEpoch: () => [this.#incarnation++, 7],
      onLoading,
    });
    return { group, rank, peerId, epoch, transport };
  }

  startFrontend(frontendId = 'frontend-0', options: Partial<FrontendOptions> = {}): RunningFrontend {
    const epoch: Epoch = [this.#incarnation++, 3];
    const peerId = `${frontendId}-${epoch[0]}`;
    const observations: RequestObservation[] = [];
    const refused: string[] = [];
    const maxModelLen = this.#options.maxModelLen ?? 256;
    let seed = 1n;
    const transport = this.#connect(peerId);
    const running = { peerId, epoch, transport, observations, refused, numReplays: 0 };
    const frontend = createFrontend({
      frontendId,
      epoch,
      transport,
      clock: this.clock,
      log: silentLog,
      metrics: {
        observeRequest: (observation) => observations.push(observation),
        setEngineLoad: () => {},
        removeEngine: () => {},
        countRefused: (reason) => refused.push(reason),
        countReplay: () => running.numReplays++,
      },
      model: { names: ['scripted'], isNameChecked: false, maxModelLen, createdSeconds: 0, vocabSize: testTokenizer().vocabSize },
      text: {
        tokenizer: testTokenizer(),
        chatTemplate: null,
        maxModelLen,
        vocabSize: testTokenizer().vocabSize,
        defaults: {},
        eosTokenIds: [2],
      },
      newSeed: () => seed++,
      ...options,
    });
    return Object.assign(running, { frontend });
  }

  /** kill -9; the others have heard of it when this resolves. */
  async kill(process: { readonly peerId: string; readonly rank?: InProcessRank }): Promise<void> {
    process.rank?.kill();
    this.bus.kill(process.peerId);
    await this.clock.advance(0);
  }

  #connect(peerId: string): Transport {
    const transport = this.bus.connect(peerId);
    return this.#options.wrap?.(transport, this.clock) ?? transport;
  }
}
