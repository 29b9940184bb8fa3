/**
 * A process that the supervisor started: what runs in it, its clock, its connection, and the channel to its supervisor. It can be killed and
 * can stand still; whatever reaches it while it stands still waits, and nothing reaches it when it is dead.
 */
import type { ChildProcessPort, ExitFacts, LaunchOptions } from '../../src/actors/child-process.ts';
import type { FromChild, ToChild } from '../../src/actors/process-messages.ts';
import type { Epoch } from '../../src/core/ids.ts';
import { ProcessClock } from './process-clock.ts';
import type { World } from './world.ts';

/** What runs in it. */
export interface Role {
  /** The supervisor's word. */
  onCommand(command: ToChild): void;
  /** Nothing of it may run any more. */
  kill(): void;
}

export class SimulatedProcess implements ChildProcessPort {
  readonly pid: number;
  readonly name: string;
  readonly clock: ProcessClock;
  readonly epoch: Epoch;
  readonly peerId: string;
  readonly #world: World;
  readonly #deathHandlers: (() => void)[] = [];
  #role: Role | null = null;
  #onMessage: (message: FromChild) => void = () => {};
  #onExit: (exit: ExitFacts) => void = () => {};

  constructor(world: World, pid: number, launch: LaunchOptions) {
    this.#world = world;
    this.pid = pid;
    this.name = launch.modulePath;
    this.clock = new ProcessClock(world.clock);
    this.clock.moveWallClock(world.wallOffsetOf(this.name));
    this.epoch = [Math.floor(world.clock.now()), pid]; // the supervisor's steady time, as runtime.ts hands it down
    this.peerId = `${this.name}.${this.epoch.join('-')}`;
  }

  get isAlive(): boolean {
    return this.clock.state !== 'dead';
  }

  start(role: Role): void {
    this.#role = role;
  }

  /** Something from outside reaches it: a message, a client's call. */
  receive(run: () => void): void {
    this.clock.whenRunning(run);
  }

  onDeath(handler: () => void): void {
    this.#deathHandlers.push(handler);
  }

  // ---- the supervisor's side

  send(message: ToChild): void {
    this.#world.clock.setTimeout(() => this.receive(() => this.#role?.onCommand(message)), 1);
  }

  /** SIGKILL, also while it stands still. */
  kill(): void {
    queueMicrotask(() => this.exit(null, 'SIGKILL'));
  }

  onMessage(handler: (message: FromChild) => void): void {
    this.#onMessage = handler;
  }

  onDisconnect(): void {}

  onExit(handler: (exit: ExitFacts) => void): void {
    this.#onExit = handler;
  }

  // ---- its own side

  report(message: FromChild): void {
    this.#world.clock.setTimeout(() => this.#onMessage(message), 1);
  }

  exit(code: number | null, signal: string | null = null): void {
    if (!this.isAlive) return;
    this.#world.log.note(`${this.name} ends: ${signal ?? code}`);
    this.clock.kill();
    this.#role?.kill();
    for (const handler of this.#deathHandlers) handler();
    this.#world.bus.kill(this.peerId);
    this.#world.clock.setTimeout(() => this.#onExit({ code, signal, reason: null }), 1);
  }
}
