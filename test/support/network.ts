/**
 * Nodes with a network stack of their own (Linux network namespaces; root only), joined by a bridge on which this process sits too. A cut is
 * the node's end of the wire taken down: no connection breaks, nothing arrives any more.
 */
import { execFileSync } from 'node:child_process';
import type { TestContext } from 'node:test';

let numNetworks = 0;

export interface Node {
  readonly address: string;
  /** Before a command that is to run there. */
  readonly prefix: readonly string[];
  cut(): void;
  heal(): void;
}

export class Network {
  /** This process's address on the bridge. */
  readonly address: string;
  readonly #tag: string;
  readonly #subnet: string;
  #numNodes = 0;

  /** Taken away with the test. */
  constructor(t: TestContext) {
    const number = numNetworks++;
    this.#tag = `t${process.pid % 100_000}x${number}`;
    this.#subnet = `10.${20 + (process.pid % 200)}.${number}`;
    this.address = `${this.#subnet}.1`;
    ip('link', 'add', this.#bridge, 'type', 'bridge');
    t.after(() => ip('link', 'del', this.#bridge));
    ip('addr', 'add', `${this.address}/24`, 'dev', this.#bridge);
    ip('link', 'set', this.#bridge, 'up');
  }

  addNode(t: TestContext): Node {
    const number = 2 + this.#numNodes++;
    const namespace = `${this.#tag}n${number}`;
    const wire = `${this.#tag}w${number}`;
    const address = `${this.#subnet}.${number}`;
    ip('netns', 'add', namespace);
    t.after(() => ip('netns', 'del', namespace)); // its end of the wire goes with it, and so does ours
    ip('link', 'add', wire, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
    ip('link', 'set', wire, 'master', this.#bridge, 'up');
    ip('-n', namespace, 'link', 'set', 'lo', 'up');
    ip('-n', namespace, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
    ip('-n', namespace, 'link', 'set', 'eth0', 'up');
    return {
      address,
      prefix: ['ip', 'netns', 'exec', namespace],
      cut: () => ip('link', 'set', wire, 'down'),
      heal: () => ip('link', 'set', wire, 'up'),
    };
  }

  get #bridge(): string {
    return `${this.#tag}b`;
  }
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
