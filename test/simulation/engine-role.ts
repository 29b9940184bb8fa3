/** An engine process as engine-process.ts puts it together, with a scripted model in the place of the real one. */
import { type EngineGroup, startEngineGroup } from '../../src/actors/engine-group.ts';
import { StartupError } from '../../src/core/errors.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { makeEngine } from '../support/engine-factory.ts';
import { InProcessRank } from '../support/in-process-rank.ts';
import type { Role, SimulatedProcess } from './process.ts';
import type { World } from './world.ts';

export interface EngineSizes {
  readonly maxNumSeqs: number;
  readonly maxNumBatchedTokens: number;
  readonly numBlocks: number;
  readonly maxNumWaiting: number;
  readonly stepMs: number;
  readonly loadMs: number;
}

/** Tokens 0 … 199: markers, ASCII characters and the bytes of all others. */
export const VOCAB_SIZE = 200;
export const MAX_MODEL_LEN = 160;
/** A prompt with this token ends the process that computes it; the model itself never says it. */
export const POISON_TOKEN = VOCAB_SIZE - 1;
/** The model that all engines of a run share. */
export const SCRIPT = {
  vocabSize: VOCAB_SIZE,
  editLogits: (logits: Float32Array): void => {
    logits[POISON_TOKEN] = -1000;
  },
};

export class EngineRole implements Role {
  readonly group: EngineGroup;
  readonly engine: Engine;
  readonly rank: InProcessRank;
  readonly #process: SimulatedProcess;
  readonly #close: () => Promise<void>;

  constructor(world: World, process: SimulatedProcess, sizes: EngineSizes) {
    const { stepMs, loadMs, ...rest } = sizes;
    const transport = world.connect(process);
    const { engine } = makeEngine({
      ...rest,
      groupEpoch: process.epoch,
      maxModelLen: MAX_MODEL_LEN,
      script: {
        ...SCRIPT,
        onSubmit: ({ tokenIds }) => {
          if (!tokenIds.includes(POISON_TOKEN)) return;
          world.noteEnd(process.name);
          process.exit(null, 'SIGSEGV');
          throw new Error('this process is dead');
        },
      },
    });
    this.#process = process;
    this.engine = engine;
    this.rank = new InProcessRank({ clock: process.clock, engine, stepMs, loadMs });
    this.group = startEngineGroup({
      engineId: process.name,
      epoch: process.epoch,
      transport,
      clock: process.clock,
      log: world.logOf(process),
      maxNumSeqs: sizes.maxNumSeqs,
      spawnRank: () => this.rank,
    });
    this.#close = () => transport.close();
    this.group.ready.then(
      () => process.report({ type: 'ready', facts: {} }),
      () => {},
    );
    void this.group.ended.then(({ error }) => {
      if (error) process.report({ type: 'failed', exitCode: error instanceof StartupError ? 2 : 1, message: error.message });
    });
  }

  async onCommand(command: Parameters<Role['onCommand']>[0]): Promise<void> {
    if (command.type === 'drain') {
      await this.group.drain();
      this.#process.report({ type: 'drained' });
    }
    if (command.type === 'stop') await this.stop();
  }

  /** Drains, then ends by itself: how one engine is replaced. */
  async replace(): Promise<void> {
    await this.group.drain();
    await this.stop();
  }

  async stop(): Promise<void> {
    await this.group.stop();
    await this.#close();
    this.#process.exit(0);
  }

  kill(): void {
    this.rank.kill();
  }
}
