/** `troupe drain NAME`: an engine, a frontend or a whole node finishes what it does and ends; nothing is cut. */

import { natsLinkOf, openNats } from './cluster-link.ts';
import type { Config } from './config.ts';
import { StartupError } from './core/errors.ts';
import { systemClock } from './system-clock.ts';
import { decodeNodeReply, encode } from './transport/codec.ts';
import type { NodeReply, NodeRequest } from './transport/messages.ts';
import { nodeRequests } from './transport/subjects.ts';
import { type Transport, TransportError } from './transport/transport.ts';

const ANSWER_TIMEOUT_MS = 2000;
const POLL_MS = 250;
/** Silence of a supervisor after which nobody can say what has become of its processes. */
const GIVE_UP_MS = 30_000;

/**
 * Prints each change, until it is safe to delete what was drained. @returns 0; 1 when nobody can say whether it is.
 * @throws StartupError: nobody has this name, or the cluster cannot be reached.
 */
export async function drain(name: string, config: Config, print: (line: string) => void): Promise<number> {
  const nats = natsLinkOf(config);
  if (nats === null)
    throw new StartupError(
      'troupe drain needs the NATS servers of the cluster: give them with --nats. On a single machine, stop the server with SIGTERM.',
    );
  const transport = await openNats(nats, `drain-${process.pid}-${systemClock.now()}`);
  try {
    return await follow(name, transport, print);
  } finally {
    await transport.close();
  }
}

async function follow(name: string, transport: Transport, print: (line: string) => void): Promise<number> {
  const told = new Map<string, string>();
  const tell = (process: string, state: string): void => {
    if (told.get(process) !== state) print(`${process}: ${state}`);
    told.set(process, state);
  };
  let wish: NodeRequest['wish'] = 'drain';
  let heardAt = systemClock.monotonic();
  for (;;) {
    const reply = await ask(transport, { type: 'nodeRequest', name, wish });
    // A supervisor that has nothing left to keep has ended, too.
    const isGone = reply === 'nobody' && wish === 'status';
    if (reply === 'nobody' && !isGone) throw new StartupError(`Nobody in the cluster is called "${name}".`);
    if (isGone) for (const process of told.keys()) tell(process, 'drained');
    if (isGone || (typeof reply === 'object' && isDrained(reply, tell))) {
      print(`${name}: safe to delete`);
      return 0;
    }
    if (reply !== 'silence') {
      wish = 'status';
      heardAt = systemClock.monotonic();
    } else if (systemClock.monotonic() - heardAt > GIVE_UP_MS) {
      print(`${name}: its supervisor has not answered for ${GIVE_UP_MS / 1000} s`);
      return 1;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function isDrained({ processes }: NodeReply, tell: (process: string, state: string) => void): boolean {
  for (const process of processes) tell(process.name, process.state);
  return processes.every(({ state }) => state === 'drained');
}

async function ask(transport: Transport, request: NodeRequest): Promise<NodeReply | 'nobody' | 'silence'> {
  try {
    return decodeNodeReply(await transport.request(nodeRequests(request.name), encode(request), ANSWER_TIMEOUT_MS));
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    return error.code === 'no_responders' ? 'nobody' : 'silence';
  }
}
