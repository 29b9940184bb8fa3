/**
 * Deaths, told by the broker itself: with a user of its system account, every connection that ends is announced within milliseconds. This
 * is what notices a kill -9 of a whole node, where no supervisor is left to say it.
 */
import type { NatsConnection } from '@nats-io/transport-node';
import { peerOfConnection } from './nats-subjects.ts';

const DISCONNECTS = '$SYS.ACCOUNT.*.DISCONNECT';
/** The broker's own doing: the process is well and connects again, here or elsewhere. */
const NOT_A_DEATH = /shutdown|lame duck|reload|auth|max(imum)? |account|duplicate|cluster name|slow consumer/i;

/** Reports processes of this cluster whose control connection ended. */
export function watchDisconnects(connection: NatsConnection, cluster: string, onGone: (peerId: string) => void): void {
  connection.subscribe(DISCONNECTS, {
    callback: (error, message) => {
      const peerId = error ? null : deadPeer(message.data, cluster);
      if (peerId !== null) onGone(peerId);
    },
  });
}

/** Of one advisory; null when it tells of no death of this cluster. */
export function deadPeer(advisory: Uint8Array, cluster: string): string | null {
  let facts: { readonly client?: { readonly name?: unknown }; readonly reason?: unknown };
  try {
    facts = JSON.parse(new TextDecoder().decode(advisory)) as typeof facts;
  } catch {
    return null;
  }
  const name = facts?.client?.name;
  if (typeof name !== 'string' || (typeof facts.reason === 'string' && NOT_A_DEATH.test(facts.reason))) return null;
  return peerOfConnection(cluster, name);
}
