/**
 * The port through which processes talk. Two adapters: `local` (in-process loopback and Unix sockets, no broker) and, for clusters, NATS.
 * Its promise is small: at most once, in order per publisher and subject. Beats, time-outs, de-duplication, repair and retries live above it.
 *
 * Subjects are dot-separated tokens of [A-Za-z0-9_-]; a subscription may use `*` for one token and a trailing `>` for the rest, as NATS does.
 */
export interface IncomingMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  /** Answers a `request`; does nothing for a publish. */
  respond(data: Uint8Array): void;
}

export interface Subscription {
  /** No handler call starts after it returns. */
  unsubscribe(): void;
}

export interface Transport {
  /** This process's name on the transport, e.g. `frontend-0.1763800000000`. */
  readonly peerId: string;
  /** Longest message of `publish` and `request`; longer ones are refused with TransportError `too_large`. Adapters chunk below it as they need. */
  readonly maxMessageBytes: number;

  /** Never waits and never throws for a missing receiver. */
  publish(subject: string, data: Uint8Array): void;
  subscribe(subject: string, handler: (message: IncomingMessage) => void): Subscription;
  /** @throws TransportError `no_responders` (nobody subscribes), `timeout`, `closed`, `too_large`. */
  request(subject: string, data: Uint8Array, timeoutMs: number): Promise<Uint8Array>;

  /** A peer that was connected is gone for good (process ended, connection cut). */
  onPeerGone(handler: (peerId: string) => void): void;
  /** This process lost its own connection: failure detection of others must be suspended until it is back. */
  onSelfDisconnected(handler: () => void): void;
  onSelfReconnected(handler: () => void): void;

  /** Delivers what was published, then stops subscriptions, then disconnects. */
  drain(): Promise<void>;
  close(): Promise<void>;
}

export class TransportError extends Error {
  override readonly name = 'TransportError';
  readonly code: 'no_responders' | 'timeout' | 'closed' | 'too_large';
  constructor(code: TransportError['code'], message: string) {
    super(message);
    this.code = code;
  }
}
