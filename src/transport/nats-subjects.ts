/**
 * Names on the broker. Everything of one cluster lies under `troupe.CLUSTER.`, so two clusters on one broker never hear each other, and
 * one permission (`troupe.CLUSTER.>`, publish and subscribe) is all that a process needs:
 *
 *   troupe.CLUSTER.msg.SUBJECT        what the layers above publish and ask
 *   troupe.CLUSTER.inbox.PEER.LANE.N  the answer to request N of a process
 *   troupe.CLUSTER.peer.PEER          answered by the process of that name
 *   troupe.CLUSTER.gone               obituaries: the peer id of a process that has ended
 */
import { StartupError } from '../core/errors.ts';
import { checkSubject } from './subject-patterns.ts';

/** A process's connections: short messages that must not wait, and token frames (see nats-transport.ts). */
export type Lane = 'control' | 'bulk';

export interface NatsSubjects {
  readonly gone: string;
  peer(peerId: string): string;
  inbox(peerId: string, lane: Lane): string;
  toWire(subject: string): string;
  fromWire(subject: string): string;
}

/** @throws StartupError: the cluster's name cannot stand in a subject. */
export function natsSubjects(cluster: string): NatsSubjects {
  if (!/^[A-Za-z0-9_-]+$/.test(cluster))
    throw new StartupError(`"${cluster}" cannot be the name of a cluster: use letters, digits, "_" and "-".`);
  const root = `troupe.${cluster}`;
  const messages = `${root}.msg.`;
  return {
    gone: `${root}.gone`,
    peer: (peerId) => `${root}.peer.${peerId}`,
    inbox: (peerId, lane) => `${root}.inbox.${peerId}.${lane}`,
    toWire: (subject) => messages + subject,
    fromWire: (subject) => subject.slice(messages.length),
  };
}

/** Frames have a connection of their own; which one is a matter of the subject alone, so the order on a subject holds. */
export const laneOf = (subject: string): Lane => (subject.endsWith('.frames') ? 'bulk' : 'control');

/** What people see in `nats server report connections`, and what `$SYS` advisories carry. */
export const connectionName = (cluster: string, peerId: string, lane: Lane | 'system'): string => `troupe/${cluster}/${peerId}/${lane}`;

/** The peer whose control connection has this name; null for all other connections. */
export function peerOfConnection(cluster: string, name: string): string | null {
  const [program, ofCluster, peerId, lane] = name.split('/');
  return program === 'troupe' && ofCluster === cluster && lane === 'control' && peerId ? peerId : null;
}

/** @throws Error: our own code made a name that cannot stand in a subject. */
export function checkPeerId(peerId: string): void {
  checkSubject(peerId);
}
