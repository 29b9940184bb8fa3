/**
 * One connection to the broker, with a bound on everything that could wait in it.
 *
 *   connected      published at once; what the broker has not confirmed (a PONG behind it) counts, and beyond the bound messages are dropped
 *   disconnected   held, up to a much smaller bound, and sent in order when the connection is back; beyond it messages are dropped
 *
 * The client itself has no such bounds: its socket buffers without end, and what it takes while disconnected is thrown away at the next try.
 */
import { errors, type MsgHdrs, type NatsConnection, type PermissionViolationError, type Status } from '@nats-io/transport-node';
import type { NatsLog } from './nats-options.ts';
import type { Lane } from './nats-subjects.ts';

/** One message of the layers above, cut as the broker needs it. All of its parts are sent, or none. */
export interface Parcel {
  readonly parts: readonly Part[];
  readonly numBytes: number;
}

export interface Part {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly reply?: string;
  readonly headers?: MsgHdrs;
}

export interface NatsLinkOptions {
  readonly connection: NatsConnection;
  readonly lane: Lane;
  readonly label: string;
  readonly maxPendingBytes: number;
  readonly maxHeldBytes: number;
  readonly log?: NatsLog | undefined;
  readonly onDisconnected: () => void;
  readonly onReconnected: () => void;
  /** The connection is lost for good; not called after `close`. */
  readonly onFailed: (error: Error) => void;
}

/** What is confirmed in one go: below it nothing waits for a confirmation, so quiet connections send no extra PING. */
const CONFIRM_BYTES = 256 * 1024;
/** What a message costs besides its payload. */
const MESSAGE_BYTES = 64;
/** Refused logins in a row, while reconnecting, until the credentials are taken for wrong: about 3 s. */
const MAX_REFUSED_LOGINS = 20;

export class NatsLink {
  readonly connection: NatsConnection;
  readonly lane: Lane;
  /** Messages that found no room. */
  numDropped = 0;
  #isConnected = true;
  #isClosing = false;
  #isConfirming = false;
  #unconfirmedBytes = 0;
  #held: { readonly parcel: Parcel; readonly isWanted: () => boolean }[] = [];
  #heldBytes = 0;
  #numRefusedLogins = 0;
  #hasToldDrops = false;
  #hasToldService = false;
  readonly #options: NatsLinkOptions;

  constructor(options: NatsLinkOptions) {
    this.#options = options;
    this.connection = options.connection;
    this.lane = options.lane;
    void this.#watchStatus();
    void this.connection.closed().then((error) => this.#ended(error ?? undefined));
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** Bytes that wait: held, or given to the client and not confirmed by the broker. Never above the bounds. */
  get pendingBytes(): number {
    return this.#heldBytes + this.#unconfirmedBytes;
  }

  /** `isWanted` is asked again when a held message is about to go out. Returns false when there was no room. */
  send(parcel: Parcel, isWanted: () => boolean = always): boolean {
    if (this.#isClosing) return false;
    const cost = costOf(parcel);
    if (!this.#isConnected) {
      if (this.#heldBytes + cost > this.#options.maxHeldBytes) return this.#drop('there is no connection to the NATS server');
      this.#held.push({ parcel, isWanted });
      this.#heldBytes += cost;
      return true;
    }
    if (this.#unconfirmedBytes + cost > this.#options.maxPendingBytes) return this.#drop('the NATS server does not take them fast enough');
    this.#publish(parcel, cost);
    return true;
  }

  /** Resolves when the broker has everything that was sent. @throws when the connection is lost meanwhile. */
  flush(): Promise<void> {
    return this.connection.flush();
  }

  /** What was sent goes out, the connection closes. Waits at most until `expired`. */
  async drain(expired: Promise<void>): Promise<void> {
    this.#isClosing = true;
    if (this.#isConnected) await Promise.race([this.connection.drain().catch(ignore), expired]);
    await this.close();
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#held = [];
    this.#heldBytes = 0;
    if (!this.connection.isClosed()) await this.connection.close();
  }

  #publish(parcel: Parcel, cost: number): void {
    try {
      for (const { subject, data, ...options } of parcel.parts) this.connection.publish(subject, data, options);
    } catch (error) {
      // A broker that restarted with a smaller max_payload, or a connection that has just failed for good.
      this.#drop(error instanceof Error ? error.message : String(error));
      return;
    }
    this.#unconfirmedBytes += cost;
    if (this.#unconfirmedBytes > CONFIRM_BYTES && !this.#isConfirming) void this.#confirm();
  }

  /** A PING behind what was published: its PONG says that the broker has read all of that. */
  async #confirm(): Promise<void> {
    this.#isConfirming = true;
    try {
      while (this.#isConnected && this.#unconfirmedBytes > CONFIRM_BYTES) {
        const numBytes = this.#unconfirmedBytes;
        await this.connection.flush();
        this.#unconfirmedBytes = Math.max(0, this.#unconfirmedBytes - numBytes);
        this.#hasToldDrops = false;
      }
    } catch {
      // The connection was lost, and everything unconfirmed with it.
    } finally {
      this.#isConfirming = false;
    }
  }

  #drop(why: string): false {
    this.numDropped++;
    if (!this.#hasToldDrops) this.#options.log?.warn({ lane: this.lane }, `Messages are dropped: ${why}.`);
    this.#hasToldDrops = true;
    return false;
  }

  async #watchStatus(): Promise<void> {
    for await (const status of this.connection.status()) this.#take(status);
  }

  #take(status: Status): void {
    const { log, label } = this.#options;
    if (status.type === 'disconnect') this.#disconnected(status.server);
    else if (status.type === 'reconnect') void this.#reconnected(status.server);
    else if (status.type === 'ldm')
      log?.info({ lane: this.lane }, `The NATS server ${status.server} will stop soon: this connection will move.`);
    else if (status.type === 'error') this.#failed(status.error, label);
  }

  #disconnected(server: string): void {
    if (!this.#isConnected || this.#isClosing) return;
    this.#isConnected = false;
    this.#unconfirmedBytes = 0; // lost, as far as anybody can know
    this.#options.log?.warn({ lane: this.lane }, `The connection to the NATS server ${server} is lost; trying again until it is back.`);
    this.#options.onDisconnected();
  }

  async #reconnected(server: string): Promise<void> {
    this.#numRefusedLogins = 0;
    try {
      await this.connection.flush(); // the broker knows our subscriptions again
    } catch {
      return; // lost once more: the next reconnection is told too
    }
    if (this.#isConnected || this.#isClosing) return;
    this.#isConnected = true;
    this.#hasToldDrops = false;
    this.#options.log?.info({ lane: this.lane }, `Connected again, to the NATS server ${server}.`);
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    for (const { parcel, isWanted } of held) if (isWanted()) this.send(parcel);
    this.#options.onReconnected();
  }

  #failed(error: Error, label: string): void {
    const { log } = this.#options;
    if (error instanceof errors.PermissionViolationError) {
      this.#tellPermission(error);
      return;
    }
    if (!(error instanceof errors.AuthorizationError) || /timeout/i.test(error.message)) {
      log?.warn({ lane: this.lane }, `The NATS server complains: ${error.message}.`);
      return;
    }
    if (++this.#numRefusedLogins < MAX_REFUSED_LOGINS || this.#isClosing) return;
    const failure = new Error(`The NATS server at ${label} does not accept this process's credentials any more.`);
    void this.close();
    this.#options.onFailed(failure);
  }

  #tellPermission({ operation, subject }: PermissionViolationError): void {
    const { log } = this.#options;
    if (!subject.startsWith('$SRV.')) {
      const what = operation === 'publish' ? 'publish to' : 'subscribe to';
      log?.error(
        { lane: this.lane },
        `The NATS server does not permit this process to ${what} ${subject}: allow troupe.CLUSTER.> for its user.`,
      );
      return;
    }
    if (!this.#hasToldService)
      log?.info({}, "The NATS server does not permit $SRV.> for this user: NATS's own tools will not list this process.");
    this.#hasToldService = true;
  }

  #ended(error: Error | undefined): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#isConnected = false;
    this.#options.onFailed(
      new Error(`The connection to the NATS server at ${this.#options.label} ended for good (${error?.message ?? 'no reason'}).`),
    );
  }
}

const costOf = (parcel: Parcel): number => parcel.numBytes + parcel.parts.length * MESSAGE_BYTES;
const always = (): boolean => true;
const ignore = (): void => {};
