/**
 * How the nodes of an engine group find each other: node 0 listens, the others call it. Each proves that it knows the group's secret and
 * has the same model; then node 0 tells all of them the epoch and the plan.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { StartupError } from '../core/errors.ts';
import { compareEpochs } from '../core/ids.ts';
import { packPlain, unpackPlain } from '../transport/codec.ts';
import type { FrameLink } from '../transport/frame-link.ts';
import { FRAME, GROUP_PROTOCOL, type GroupControl, type GroupPlan } from './group-messages.ts';

export interface Rendezvous {
  readonly clock: Clock;
  readonly node: number;
  readonly numNodes: number;
  /** Ranks in all. */
  readonly size: number;
  readonly model: string;
  readonly secret: string;
  /** How long to wait for the others. */
  readonly deadlineMs: number;
  /** For people: where node 0 listens. */
  readonly address: string;
  readonly onWaiting: (what: string) => void;
}

export const sendControl = (link: FrameLink, message: GroupControl): void => link.send(FRAME.control, packPlain(message));
export const readControl = (body: Uint8Array): GroupControl => unpackPlain(body) as GroupControl;

/**
 * Node 0: resolves with a link to each other node, in their order, when all are there. `accept` is given a function that takes links as
 * they come. @throws StartupError when one does not come in time.
 */
export function gatherNodes(
  options: Rendezvous,
  plan: GroupPlan,
  random: () => string,
  accept: (take: (link: FrameLink) => void) => void,
): Promise<readonly FrameLink[]> {
  const { clock, numNodes, size } = options;
  const links = new Map<number, FrameLink>();
  return new Promise((resolve, reject) => {
    const tellMissing = (): void => {
      const node = missing();
      if (node !== undefined) options.onWaiting(`waiting for rank ${(node * size) / numNodes} of ${size} (node ${node})`);
    };
    const missing = (): number | undefined => Array.from({ length: numNodes - 1 }, (_, i) => i + 1).find((node) => !links.has(node));
    const timer = clock.setTimeout(() => {
      const message = `Node ${missing()} of ${numNodes} did not come to ${options.address} within ${options.deadlineMs / 1000} s.`;
      for (const link of links.values()) link.close(message);
      reject(new StartupError(message));
    }, options.deadlineMs);
    const admitted = (node: number, link: FrameLink): void => {
      links.set(node, link);
      link.onClosed(() => links.get(node) === link && links.delete(node));
      tellMissing();
      if (links.size < numNodes - 1) return;
      clock.clearTimeout(timer);
      const inOrder = [...links].sort(([a], [b]) => a - b).map(([, member]) => member);
      resolve(inOrder);
    };
    accept((link) => admit(options, plan, random(), link, admitted));
    tellMissing();
  });
}

/** Checks who calls; `admitted` is called when it has taken the plan. */
function admit(
  options: Rendezvous,
  plan: GroupPlan,
  nonce: string,
  link: FrameLink,
  admitted: (node: number, link: FrameLink) => void,
): void {
  let node = 0;
  const refuse = (reason: string): void => {
    sendControl(link, { type: 'refused', reason });
    link.close(reason);
  };
  link.onFrame((kind, body) => {
    const message = kind === FRAME.control ? readControl(body) : null;
    if (message?.type === 'hello') {
      const reason = reasonToRefuse(options, nonce, message);
      if (reason !== null) return refuse(reason);
      node = message.node;
      sendControl(link, { type: 'welcome', plan });
    } else if (message?.type === 'joined' && node > 0) {
      if (compareEpochs(message.groupEpoch, plan.groupEpoch) !== 0) return refuse('another epoch of this group');
      link.onFrame(null);
      admitted(node, link);
    } else refuse('not what was asked');
  });
  sendControl(link, { type: 'challenge', nonce });
}

function reasonToRefuse(
  { numNodes, size, model, secret }: Rendezvous,
  nonce: string,
  hello: Extract<GroupControl, { type: 'hello' }>,
): string | null {
  if (!isEqual(hello.proof, proofOf(secret, nonce, hello.node))) return 'the group secret differs (--group-secret)';
  if (hello.protocol !== GROUP_PROTOCOL) return 'another version of troupe';
  if (hello.numNodes !== numNodes || hello.size !== size)
    return `it was started with --nnodes ${hello.numNodes} --tensor-parallel-size ${hello.size}, node 0 with ${numNodes} and ${size}`;
  if (!(hello.node > 0 && hello.node < numNodes)) return `there is no node ${hello.node} of ${numNodes}`;
  return hello.model === model ? null : 'it has another model, or another --quantization';
}

/**
 * Any other node: calls until node 0 answers. @throws StartupError when it does not in time, or refuses.
 */
export async function joinGroup(options: Rendezvous, call: () => Promise<FrameLink>): Promise<{ link: FrameLink; plan: GroupPlan }> {
  const { clock, deadlineMs, address } = options;
  const untilMs = clock.monotonic() + deadlineMs;
  options.onWaiting(`waiting for node 0 at ${address}`);
  for (;;) {
    try {
      return await introduce(options, await call());
    } catch (error) {
      if (error instanceof StartupError) throw error;
      if (clock.monotonic() + RETRY_MS > untilMs) {
        throw new StartupError(`Node 0 did not answer at ${address} within ${deadlineMs / 1000} s (${(error as Error).message}).`);
      }
      await new Promise<void>((resolve) => clock.setTimeout(resolve, RETRY_MS));
    }
  }
}

const RETRY_MS = 500;

function introduce(options: Rendezvous, link: FrameLink): Promise<{ link: FrameLink; plan: GroupPlan }> {
  const { node, numNodes, size, model, secret } = options;
  return new Promise((resolve, reject) => {
    link.onClosed((reason) => reject(new Error(reason)));
    link.onFrame((kind, body) => {
      const message = kind === FRAME.control ? readControl(body) : null;
      if (message?.type === 'challenge') {
        const proof = proofOf(secret, message.nonce, node);
        sendControl(link, { type: 'hello', protocol: GROUP_PROTOCOL, node, numNodes, size, model, proof });
      } else if (message?.type === 'welcome') {
        sendControl(link, { type: 'joined', groupEpoch: message.plan.groupEpoch });
        link.onFrame(null);
        resolve({ link, plan: message.plan });
      } else if (message?.type === 'refused') {
        reject(new StartupError(`Node 0 at ${options.address} refused this node: ${message.reason}.`));
        link.close();
      }
    });
  });
}

const proofOf = (secret: string, nonce: string, node: number): string =>
  createHmac('sha256', secret).update(`${nonce} ${node}`).digest('hex');

const isEqual = (a: string, b: string): boolean => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
