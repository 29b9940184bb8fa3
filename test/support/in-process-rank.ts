/** A rank without a thread: the real loop over a real engine, one turn per `stepMs` of the test's clock. */

import { EngineLoop } from '../../src/actors/engine-loop.ts';
import type { FromRank, RankPort, ToRank } from '../../src/actors/rank-port.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { Engine } from '../../src/engine/engine.ts';

export interface InProcessRankOptions {
  readonly clock: Clock;
  readonly engine: Engine;
  readonly fingerprint?: string;
  readonly stepMs?: number;
  readonly loadMs?: number;
  /** What loading ends with, instead of serving. */
  readonly startupError?: string;
}

export class InProcessRank implements RankPort {
  readonly engine: Engine;
  readonly posted: ToRank[] = [];
  readonly #options: InProcessRankOptions;
  readonly #loop: EngineLoop;
  #inbox: ToRank[] = [];
  #tell: (message: FromRank) => void = () => {};
  #exit: (reason: string | null) => void = () => {};
  #isTurnPlanned = false;
  #isOver = false;

  constructor(options: InProcessRankOptions) {
    this.#options = options;
    this.engine = options.engine;
    this.#loop = new EngineLoop(options.engine);
    options.clock.setTimeout(
      () => {
        if (this.#isOver) return;
        this.#tell({ type: 'loading', stage: 'weights', fraction: 0 });
        this.#tell({ type: 'loading', stage: 'weights', fraction: 0.5 });
        options.clock.setTimeout(() => this.#ready(), (options.loadMs ?? 10) / 2);
      },
      (options.loadMs ?? 10) / 2,
    );
  }

  post(message: ToRank): void {
    this.posted.push(message);
    this.#inbox.push(structuredClone(message));
    this.#planTurn();
  }

  onMessage(handler: (message: FromRank) => void): void {
    this.#tell = handler;
  }

  onExit(handler: (reason: string | null) => void): void {
    this.#exit = handler;
  }

  terminate(): void {
    this.end('terminated');
  }

  /** The thread ends by itself. */
  end(reason: string | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#exit(reason);
  }

  /** Its process is dead: nothing is heard of it again. */
  kill(): void {
    this.#isOver = true;
  }

  #ready(): void {
    if (this.#isOver) return;
    const { startupError, fingerprint = 'test' } = this.#options;
    const { numBlocks } = this.engine.stats();
    if (startupError !== undefined) this.#tell({ type: 'failed', message: startupError, isStartupError: true });
    else this.#tell({ type: 'ready', facts: { fingerprint, numBlocks, vocabSize: 0, blockSize: this.engine.blockSize } });
  }

  #planTurn(): void {
    if (this.#isTurnPlanned || this.#isOver) return;
    this.#isTurnPlanned = true;
    this.#options.clock.setTimeout(() => {
      this.#isTurnPlanned = false;
      if (!this.#isOver) this.#turn();
    }, this.#options.stepMs ?? 10);
  }

  #turn(): void {
    const inbox = this.#inbox;
    this.#inbox = [];
    try {
      const turn = this.#loop.runOnce(inbox);
      if (turn) this.#tell(structuredClone({ type: 'turn', turn }));
    } catch (error) {
      this.#tell({ type: 'failed', message: String(error), isStartupError: false });
      return;
    }
    if (this.#loop.isStopped) this.end(null);
    else if (this.#loop.hasWork) this.#planTurn();
  }
}
