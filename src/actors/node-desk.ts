/** A supervisor's end of the transport: it answers operators for its processes, and tells everybody of those that died. */
import { decodeNodeRequest, encode } from '../transport/codec.ts';
import type { NodeProcessState, NodeReply } from '../transport/messages.ts';
import { nodeRequests } from '../transport/subjects.ts';
import type { IncomingMessage, Transport } from '../transport/transport.ts';
import type { Log } from './log.ts';
import type { ChildStatus } from './process-messages.ts';
import type { Supervisor, SupervisorEvent } from './supervisor.ts';

export interface NodeDeskOptions {
  readonly transport: Transport & { announceGone(peerId: string): void };
  readonly log: Log;
  /** What the whole node is called; its processes are called `NODE-CHILD`. */
  readonly node: string;
  readonly supervisor: Pick<Supervisor, 'retire' | 'status'>;
}

export class NodeDesk {
  readonly #options: NodeDeskOptions;
  readonly #retired = new Set<string>();
  /** Transport peers of the children, by their names. */
  readonly #peers = new Map<string, string>();

  constructor(options: NodeDeskOptions) {
    this.#options = options;
    const { transport, node, supervisor } = options;
    transport.subscribe(nodeRequests(node), (message) => this.#answer(message));
    for (const { name } of supervisor.status()) transport.subscribe(nodeRequests(`${node}-${name}`), (message) => this.#answer(message));
  }

  /** A death is known to all within milliseconds, however silent it was. */
  tell(event: SupervisorEvent): void {
    if (event.type === 'child.ready' && typeof event.facts.peerId === 'string') this.#peers.set(event.name, event.facts.peerId);
    if (event.type !== 'child.exited') return;
    const peerId = this.#peers.get(event.name);
    if (peerId !== undefined) this.#options.transport.announceGone(peerId);
    this.#peers.delete(event.name);
  }

  #answer(message: IncomingMessage): void {
    try {
      const { name, wish } = decodeNodeRequest(message.data);
      const children = this.#options.supervisor.status().filter((child) => [this.#options.node, this.#nameOf(child)].includes(name));
      if (wish === 'drain') this.#drain(children.map((child) => child.name));
      const processes = children.map((child) => ({ name: this.#nameOf(child), state: this.#stateOf(child) }));
      message.respond(encode({ type: 'nodeReply', processes } satisfies NodeReply));
    } catch (error) {
      this.#options.log.warn({ error: String(error) }, 'refused a message that could not be read');
    }
  }

  #drain(names: readonly string[]): void {
    const isNew = names.filter((name) => !this.#retired.has(name));
    if (isNew.length === 0) return;
    this.#options.log.info({ children: isNew }, 'an operator drains them: they finish what they do and end');
    for (const name of isNew) this.#retired.add(name);
    this.#options.supervisor.retire(isNew);
  }

  #nameOf = ({ name }: ChildStatus): string => `${this.#options.node}-${name}`;

  #stateOf({ name, state }: ChildStatus): NodeProcessState {
    const isRetired = this.#retired.has(name);
    if (state === 'down' || state === 'waiting') return isRetired ? 'drained' : 'down';
    if (isRetired || state === 'stopping') return 'draining';
    return state;
  }
}
