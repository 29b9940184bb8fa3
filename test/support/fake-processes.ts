/** Processes that exist only in a test: it sees what they are told, and speaks and dies for them. */
import type { ChildProcessPort, ExitFacts, LaunchOptions } from '../../src/actors/child-process.ts';
import type { FromChild, ToChild } from '../../src/actors/process-messages.ts';

export class FakeProcess implements ChildProcessPort {
  readonly pid: number;
  readonly launch: LaunchOptions;
  /** In order. */
  readonly told: ToChild[] = [];
  isKilled = false;
  isAlive = true;
  #onMessage: (message: FromChild) => void = () => {};
  #onDisconnect: () => void = () => {};
  #onExit: (exit: ExitFacts) => void = () => {};

  constructor(pid: number, launch: LaunchOptions) {
    this.pid = pid;
    this.launch = launch;
  }

  send(message: ToChild): void {
    this.told.push(message);
  }

  /** SIGKILL works at once. */
  kill(): void {
    if (!this.isAlive) return;
    this.isKilled = true;
    queueMicrotask(() => this.exit(null, 'SIGKILL'));
  }

  onMessage(handler: (message: FromChild) => void): void {
    this.#onMessage = handler;
  }

  onDisconnect(handler: () => void): void {
    this.#onDisconnect = handler;
  }

  onExit(handler: (exit: ExitFacts) => void): void {
    this.#onExit = handler;
  }

  say(message: FromChild): void {
    this.#onMessage(message);
  }

  ready(facts: Record<string, unknown> = {}): void {
    this.say({ type: 'ready', facts });
  }

  disconnect(): void {
    this.#onDisconnect();
  }

  exit(code: number | null, signal: string | null = null): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    this.#onExit({ code, signal, reason: null });
  }
}

export class FakeProcesses {
  /** In the order of their starts. */
  readonly all: FakeProcess[] = [];

  readonly spawn = (launch: LaunchOptions): FakeProcess => {
    const process = new FakeProcess(this.all.length + 1, launch);
    this.all.push(process);
    return process;
  };

  get alive(): FakeProcess[] {
    return this.all.filter(({ isAlive }) => isAlive);
  }

  /** The living process that was launched for this child. @throws when there is none. */
  of(name: string): FakeProcess {
    const process = this.alive.find(({ launch }) => launch.modulePath === name);
    if (!process) throw new Error(`${name} has no process`);
    return process;
  }

  has(name: string): boolean {
    return this.alive.some(({ launch }) => launch.modulePath === name);
  }
}
