/** A whole service in one process: a supervisor, its frontends and engine groups as in production, on a virtual clock and a simulated network. */
import type { Log } from '../../src/actors/log.ts';
import { createSupervisor, type Supervisor } from '../../src/actors/supervisor.ts';
import type { RandomSource } from '../../src/core/clock.ts';
import { LoopbackBus } from '../../src/transport/loopback.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { EngineRole } from './engine-role.ts';
import { EventLog } from './event-log.ts';
import { FrontendRole } from './frontend-role.ts';
import { nameOf, SimulatedNetwork } from './network.ts';
import { SimulatedProcess } from './process.ts';
import type { Scenario } from './scenario.ts';

export interface WorldOptions {
  readonly onLine?: ((line: string) => void) | null;
}

export class World {
  readonly clock = new VirtualClock();
  readonly log: EventLog;
  readonly network: SimulatedNetwork;
  readonly bus: LoopbackBus;
  readonly supervisor: Supervisor;
  readonly scenario: Scenario;
  /** The living processes, by name. */
  readonly #processes = new Map<string, SimulatedProcess>();
  readonly #roles = new Map<string, EngineRole | FrontendRole>();
  readonly #wallOffsets = new Map<string, number>();
  /** Ends of processes that were caused on purpose. */
  readonly ends = new Map<string, number>();
  /** Of everything that runs in the processes. */
  readonly random: RandomSource;
  readonly errors: string[] = [];
  /** Over all frontends that ever were. */
  readonly counts = { numReplays: 0, numStaleFrames: 0 };
  #nextPid = 2;

  constructor(scenario: Scenario, options: WorldOptions = {}) {
    this.scenario = scenario;
    this.log = new EventLog(this.clock, options.onLine ?? null);
    this.network = new SimulatedNetwork({
      clock: this.clock,
      random: this.#randomOf(1),
      log: this.log,
      weather: scenario.weather,
      receive: (peerId, deliver) => {
        const process = this.#processes.get(nameOf(peerId));
        if (process?.peerId === peerId) process.receive(deliver);
      },
    });
    this.bus = new LoopbackBus({ clock: this.clock, carry: this.network.carry });
    this.random = this.#randomOf(2);
    this.supervisor = createSupervisor({
      children: [...scenario.engines, ...scenario.frontends].map((name) => ({
        name,
        role: name.startsWith('engine') ? 'engine' : 'frontend',
        isDrained: name.startsWith('frontend'),
        launch: () => ({ modulePath: name }),
      })),
      clock: this.clock,
      random: this.random,
      spawn: (launch) => this.#spawn(launch),
      drainGraceMs: null,
      onEvent: (event) => this.log.note(`supervisor: ${event.type}${'name' in event ? ` ${event.name}` : ''}`),
    });
  }

  get engines(): EngineRole[] {
    return [...this.#roles.values()].filter((role) => role instanceof EngineRole);
  }

  get frontends(): FrontendRole[] {
    return [...this.#roles.values()].filter((role) => role instanceof FrontendRole);
  }

  process(name: string): SimulatedProcess | undefined {
    return this.#processes.get(name);
  }

  get processes(): SimulatedProcess[] {
    return [...this.#processes.values()];
  }

  role(name: string): EngineRole | FrontendRole | undefined {
    return this.#roles.get(name);
  }

  connect(process: SimulatedProcess): Transport {
    return this.bus.connect(process.peerId, process.clock);
  }

  noteEnd(name: string): void {
    this.ends.set(name, (this.ends.get(name) ?? 0) + 1);
  }

  wallOffsetOf(name: string): number {
    return this.#wallOffsets.get(name) ?? 0;
  }

  /** The wall clock of a process's machine jumps. */
  moveWallClock(name: string, byMs: number): void {
    this.#wallOffsets.set(name, this.wallOffsetOf(name) + byMs);
    this.#processes.get(name)?.clock.moveWallClock(byMs);
  }

  logOf(process: SimulatedProcess): Log {
    const line = (level: string, args: readonly unknown[]): void => {
      const text = args.map((arg) => (typeof arg === 'string' ? arg : JSON.stringify(arg))).join(' ');
      this.log.note(`${process.name} ${level}: ${text}`);
      if (level === 'error') this.errors.push(`${process.name}: ${text}`);
    };
    return {
      debug: () => {},
      info: (...args: unknown[]) => line('info', args),
      warn: (...args: unknown[]) => line('warn', args),
      error: (...args: unknown[]) => line('error', args),
    };
  }

  #spawn(launch: ConstructorParameters<typeof SimulatedProcess>[2]): SimulatedProcess {
    const process = new SimulatedProcess(this, this.#nextPid++, launch);
    const { name } = process;
    this.log.note(`${name} starts as ${process.peerId}`);
    this.#processes.set(name, process);
    process.onDeath(() => {
      if (this.#processes.get(name) !== process) return;
      this.#processes.delete(name);
      this.#roles.delete(name);
    });
    // A process takes a moment before its code runs.
    process.clock.setTimeout(() => {
      const role = name.startsWith('engine') ? new EngineRole(this, process, this.scenario.engine) : new FrontendRole(this, process);
      this.#roles.set(name, role);
      process.start(role);
    }, 5);
    return process;
  }

  #randomOf(stream: number): RandomSource {
    const source = seededRandom(this.scenario.seed * 8 + stream);
    return () => source.below(2 ** 30) / 2 ** 30;
  }
}
