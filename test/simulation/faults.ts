/** Makes the faults of a scenario happen, each at its instant, and undoes those that last. */
import type { Fault } from './scenario.ts';
import type { World } from './world.ts';

/** How a fault looked when it happened; `isReal` false = there was nothing to break at that instant. */
export interface InjectedFault {
  readonly fault: Fault;
  readonly at: number;
  readonly isReal: boolean;
}

export class FaultInjector {
  readonly #world: World;
  readonly injected: InjectedFault[] = [];
  readonly #open = new Set<() => void>();

  constructor(world: World) {
    this.#world = world;
    for (const fault of world.scenario.faults) world.clock.setTimeout(() => this.#inject(fault), fault.atMs);
  }

  /** Ends what still lasts. */
  healAll(): void {
    for (const heal of [...this.#open]) heal();
  }

  #inject(fault: Fault): void {
    const isReal = this.#begin(fault);
    this.injected.push({ fault, at: this.#world.clock.monotonic(), isReal });
    this.#world.log.note(`fault: ${JSON.stringify(fault)}${isReal ? '' : ' (nothing there)'}`);
  }

  #begin(fault: Fault): boolean {
    const { network, bus, log } = this.#world;
    const process = 'name' in fault ? this.#world.process(fault.name) : undefined;
    const role = 'name' in fault ? this.#world.role(fault.name) : undefined;
    switch (fault.type) {
      case 'kill':
        if (!process) return false;
        this.#world.noteEnd(fault.name);
        process.kill();
        return true;
      case 'replace':
        if (!process || !role) return false;
        process.receive(() => {
          log.note(`${fault.name} is replaced`);
          this.#world.noteEnd(fault.name);
          void role.replace();
        });
        return true;
      case 'rankFails':
        if (!process || !role || !('rank' in role)) return false;
        process.receive(() => {
          this.#world.noteEnd(fault.name);
          role.rank.end('the rank broke');
        });
        return true;
      case 'freeze':
        if (!process) return false;
        process.clock.freeze();
        this.#later(fault.forMs, () => process.clock.thaw());
        return true;
      case 'disconnect':
        if (!process) return false;
        bus.disconnect(process.peerId);
        this.#later(fault.forMs, () => process.receive(() => bus.reconnect(process.peerId)));
        return true;
      case 'cut':
        if (fault.from === fault.to) return false;
        for (const [from, to] of fault.isOneWay
          ? [[fault.from, fault.to]]
          : [
              [fault.from, fault.to],
              [fault.to, fault.from],
            ]) {
          network.cut(from!, to!);
          this.#later(fault.forMs, () => network.mend(from!, to!));
        }
        return true;
      case 'storm': {
        const fair = network.weather;
        network.weather = fault.weather;
        this.#later(fault.forMs, () => {
          network.weather = fair;
        });
        return true;
      }
      case 'wallClock':
        this.#world.moveWallClock(fault.name, fault.byMs);
        return true;
      default:
        return fault satisfies never;
    }
  }

  #later(forMs: number, heal: () => void): void {
    const once = (): void => {
      if (this.#open.delete(once)) heal();
    };
    this.#open.add(once);
    this.#world.clock.setTimeout(once, forMs);
  }
}
