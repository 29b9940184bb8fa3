/** A frontend process as frontend-process.ts puts it together, without the HTTP edge: clients call its `generate` themselves. */
import { createFrontend, type Frontend } from '../../src/actors/frontend.ts';
import type { RequestObservation } from '../../src/actors/frontend-metrics.ts';
import { testTokenizer } from '../support/cluster.ts';
import { MAX_MODEL_LEN, VOCAB_SIZE } from './engine-role.ts';
import type { Role, SimulatedProcess } from './process.ts';
import type { World } from './world.ts';

export class FrontendRole implements Role {
  readonly frontend: Frontend;
  readonly observations: RequestObservation[] = [];
  readonly #process: SimulatedProcess;
  readonly #close: () => Promise<void>;

  constructor(world: World, process: SimulatedProcess) {
    const transport = world.connect(process);
    this.#process = process;
    this.#close = () => transport.close();
    this.frontend = createFrontend({
      frontendId: process.name,
      epoch: process.epoch,
      transport,
      clock: process.clock,
      log: world.logOf(process),
      metrics: {
        observeRequest: (observation) => this.observations.push(observation),
        setEngineLoad: () => {},
        removeEngine: () => {},
        countRefused: (reason) => {
          if (reason === 'stale_epoch') world.counts.numStaleFrames++;
          else world.errors.push(`${process.name} refused a message: ${reason}`);
        },
        countReplay: () => {
          world.counts.numReplays++;
        },
      },
      model: { names: ['scripted'], isNameChecked: false, maxModelLen: MAX_MODEL_LEN, createdSeconds: 0, vocabSize: VOCAB_SIZE },
      text: {
        tokenizer: testTokenizer(),
        chatTemplate: null,
        maxModelLen: MAX_MODEL_LEN,
        vocabSize: VOCAB_SIZE,
        defaults: {},
        eosTokenIds: [2],
      },
      newSeed: () => {
        throw new Error('every simulated request brings its seed');
      },
      random: world.random,
      logsThroughput: false,
    });
    process.report({ type: 'ready', facts: {} });
  }

  async onCommand(command: Parameters<Role['onCommand']>[0]): Promise<void> {
    if (command.type === 'drain') {
      await this.frontend.drain();
      this.#process.report({ type: 'drained' });
    }
    if (command.type === 'stop') await this.stop();
    if (command.type === 'serverFailed') this.frontend.setFailed(command.reason);
  }

  /** Drains, then ends by itself: how one frontend is replaced. */
  async replace(): Promise<void> {
    await this.frontend.drain();
    await this.stop();
  }

  async stop(): Promise<void> {
    this.frontend.close();
    await this.#close();
    this.#process.exit(0);
  }

  kill(): void {}
}
