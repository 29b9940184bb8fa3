/**
 * The transport through a NATS broker: for processes on many machines, which then need no address but the broker's and no open port.
 *
 * A process has two connections. *Bulk* carries token frames (subjects that end in `.frames`), *control* everything else: requests and
 * their answers, beats, aborts, obituaries. A cancel then never waits behind tokens. The subject alone decides the connection, for
 * publishing and for subscribing, so the order on a subject holds; across subjects it holds within a lane.
 *
 * The broker is not asked to leave out a process's own messages (`noEcho`): the port delivers to the publishing process too.
 *
 * A request has one responder in this system. A process that has just unsubscribed answers "nobody here" to requests that were already on
 * their way, as the broker does for those that come later.
 */
import { headers, type Msg, type NatsConnection, type Subscription as NatsSubscription } from '@nats-io/transport-node';
import type { Clock } from '../core/clock.ts';
import { StartupError } from '../core/errors.ts';
import { watchDisconnects } from './nats-advisories.ts';
import { cut, Reassembler, ReassemblyBudget } from './nats-chunks.ts';
import { connectFirst } from './nats-connect.ts';
import { NatsLink, type Parcel, type Part } from './nats-link.ts';
import { connectionOptions, type NatsAuth, type NatsTransportOptions, parseServers } from './nats-options.ts';
import { answerServiceQuestions, type ServiceFacts } from './nats-service.ts';
import { checkPeerId, connectionName, type Lane, laneOf, type NatsSubjects, natsSubjects } from './nats-subjects.ts';
import { checkSize, closed, PendingRequests } from './pending-requests.ts';
import { checkPattern, checkSubject, PatternMap } from './subject-patterns.ts';
import type { IncomingMessage, Subscription, Transport } from './transport.ts';
import { UnansweredRequests } from './unanswered-requests.ts';

const NOBODY_HERE = 'Troupe-Nobody';
const EMPTY = new Uint8Array(0);
/** PendingRequests counts who could still answer: here the broker stands for all. */
const BROKER = ['broker'];
/** How long a closing process waits for its last word to go out, and an opening one for another of its name. */
const LAST_WORD_MS = 250;
const SAME_NAME_MS = 500;

type Handler = (message: IncomingMessage) => void;

export class NatsTransport implements Transport {
  readonly peerId: string;
  readonly maxMessageBytes: number;
  readonly #options: NatsTransportOptions;
  readonly #clock: Clock;
  readonly #subjects: NatsSubjects;
  readonly #label: string;
  readonly #pending: PendingRequests;
  readonly #unanswered: UnansweredRequests;
  readonly #chunks: ReassemblyBudget;
  readonly #links = new Map<Lane, NatsLink>();
  readonly #subscriptions = new Set<NatsSubscription>();
  /** Patterns whose handlers may still be called. */
  readonly #open = new PatternMap<Handler>();
  readonly #goneHandlers: ((peerId: string) => void)[] = [];
  readonly #disconnectedHandlers: (() => void)[] = [];
  readonly #reconnectedHandlers: (() => void)[] = [];
  readonly #failedHandlers: ((error: Error) => void)[] = [];
  #systemConnection: NatsConnection | null = null;
  #numLongMessages = 0;
  #state: 'open' | 'draining' | 'closed' = 'open';
  #isConnected = true;

  private constructor(options: NatsTransportOptions) {
    checkPeerId(options.peerId);
    this.#options = options;
    this.#clock = options.clock;
    this.#subjects = natsSubjects(options.cluster);
    this.#label = parseServers(options.servers).label;
    this.peerId = options.peerId;
    this.maxMessageBytes = options.maxMessageBytes ?? 32 * 2 ** 20;
    this.#pending = new PendingRequests(options.clock);
    this.#unanswered = new UnansweredRequests(options.clock, options.drainTimeoutMs ?? 5000);
    this.#chunks = new ReassemblyBudget(options.clock, this.maxMessageBytes);
  }

  /**
   * Resolves when this process can be reached. Waits for a broker that is not there yet.
   * @throws StartupError: no broker in time, wrong credentials, a mistake about TLS, or a living process has this peer id.
   */
  static async open(options: NatsTransportOptions): Promise<NatsTransport> {
    const transport = new NatsTransport(options);
    try {
      await transport.#connect();
    } catch (error) {
      await transport.close();
      throw error;
    }
    return transport;
  }

  /** False from the loss of either connection until both are back. */
  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** Messages that found no room in an outbound queue. */
  get numDropped(): number {
    return [...this.#links.values()].reduce((sum, link) => sum + link.numDropped, 0);
  }

  /** Long messages that arrived in part only. */
  get numIncomplete(): number {
    return this.#chunks.numLost;
  }

  /** Bytes that wait for the broker. Bounded by `maxPendingBytes` per connection. */
  get pendingBytes(): number {
    return [...this.#links.values()].reduce((sum, link) => sum + link.pendingBytes, 0);
  }

  /** After `close` it does nothing. @throws TransportError `too_large` */
  publish(subject: string, data: Uint8Array): void {
    checkSubject(subject);
    checkSize(subject, data, this.maxMessageBytes);
    if (this.#state === 'closed') return;
    const link = this.#link(laneOf(subject));
    link.send(this.#parcel(link, this.#subjects.toWire(subject), data));
  }

  subscribe(pattern: string, handler: Handler): Subscription {
    checkPattern(pattern);
    const link = this.#link(laneOf(pattern));
    if (this.#state === 'closed' || link.connection.isClosed()) return { unsubscribe: () => {} };
    const reassembler = new Reassembler(this.#chunks);
    let isOpen = true;
    const subscription = link.connection.subscribe(this.#subjects.toWire(pattern), {
      callback: unlessRefused((message) => {
        const data = reassembler.take(message);
        if (data === null) return;
        if (isOpen && this.#state !== 'closed') this.#deliver(link, message, data, handler);
        else this.#refuse(link, message);
      }),
    });
    this.#open.add(pattern, handler);
    this.#subscriptions.add(subscription);
    return {
      unsubscribe: () => {
        if (!isOpen) return;
        isOpen = false;
        this.#open.remove(pattern, handler);
        this.#subscriptions.delete(subscription);
        if (!subscription.isClosed()) void subscription.drain().catch(ignore); // what is on its way is refused, not ignored
      },
    };
  }

  async request(subject: string, data: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    checkSubject(subject);
    checkSize(subject, data, this.maxMessageBytes);
    if (this.#state !== 'open') throw closed(subject);
    const link = this.#link(laneOf(subject));
    const { id, answer } = this.#pending.open(subject, timeoutMs, BROKER);
    const reply = `${this.#subjects.inbox(this.peerId, link.lane)}.${id}`;
    // Without a connection it waits for one as long as its time allows: "no responders" would say that nobody is there.
    link.send(this.#parcel(link, this.#subjects.toWire(subject), data, reply), () => this.#pending.has(id));
    return answer;
  }

  /** Told by that process's own last word, by an obituary (`announceGone`), or by the broker (`systemAuth`); possibly by several of them. */
  onPeerGone(handler: (peerId: string) => void): void {
    this.#goneHandlers.push(handler);
  }

  onSelfDisconnected(handler: () => void): void {
    this.#disconnectedHandlers.push(handler);
  }

  onSelfReconnected(handler: () => void): void {
    this.#reconnectedHandlers.push(handler);
  }

  /** A connection is lost for good (its credentials are not accepted any more): the process cannot do its work, and should end. */
  onFailed(handler: (error: Error) => void): void {
    this.#failedHandlers.push(handler);
  }

  /** For whoever saw a process die, as its supervisor does. The others are told at once; a process that lives on is known again by its beats. */
  announceGone(peerId: string): void {
    if (this.#state === 'closed') return;
    const link = this.#link('control');
    link.send(this.#parcel(link, this.#subjects.gone, Buffer.from(peerId)));
  }

  /** Lets NATS's own tools show this process: `nats micro ls`. */
  announceService(facts: ServiceFacts): void {
    if (this.#state !== 'open' || this.#link('control').connection.isClosed()) return;
    const metadata = { cluster: this.#options.cluster, ...facts.metadata };
    answerServiceQuestions(this.#link('control').connection, this.peerId, { ...facts, metadata });
  }

  /** In the one order that loses nothing: no new messages, then our own handlers, then the connection. */
  async drain(): Promise<void> {
    if (this.#state !== 'open') return this.close();
    this.#state = 'draining';
    let timer: unknown;
    const expired = new Promise<void>((resolve) => {
      timer = this.#clock.setTimeout(resolve, this.#options.drainTimeoutMs ?? 5000);
    });
    if (this.#isConnected) {
      const stopped = Promise.all([...this.#subscriptions].map((subscription) => subscription.drain().catch(ignore)));
      await Promise.race([stopped, expired]);
      await Promise.race([this.#unanswered.whenNone(), expired]);
      await this.#link('bulk').drain(expired); // the broker has all frames before it hears that this process is gone
      this.announceGone(this.peerId);
      await this.#link('control').drain(expired);
    }
    this.#clock.clearTimeout(timer);
    await this.#disconnect();
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    if (this.#links.size === 2 && this.#isConnected) {
      this.announceGone(this.peerId);
      await this.#atMost(LAST_WORD_MS, this.#link('control').flush());
    }
    await this.#disconnect();
  }

  async #disconnect(): Promise<void> {
    this.#state = 'closed';
    this.#pending.close();
    this.#chunks.close();
    this.#unanswered.close();
    await Promise.all([...this.#links.values()].map((link) => link.close()));
    await this.#systemConnection?.close();
  }

  async #connect(): Promise<void> {
    const { auth, systemAuth, cluster } = this.#options;
    await this.#connectLane('control', auth);
    await this.#checkName();
    await this.#connectLane('bulk', auth);
    const control = this.#link('control').connection;
    control.subscribe(this.#subjects.gone, { callback: unlessRefused((message) => this.#peerGone(message.string())) });
    control.subscribe(this.#subjects.peer(this.peerId), { callback: unlessRefused((message) => message.respond()) });
    if (systemAuth) {
      this.#systemConnection = await this.#dial(connectionName(cluster, this.peerId, 'system'), systemAuth);
      watchDisconnects(this.#systemConnection, cluster, (peerId) => this.#peerGone(peerId));
      await this.#systemConnection.flush().catch(ignore);
    }
    // The broker knows our subscriptions; or it has gone again, and learns them when it is back.
    await Promise.all([...this.#links.values()].map((link) => link.flush().catch(ignore)));
  }

  async #connectLane(lane: Lane, auth: NatsAuth | undefined): Promise<void> {
    const { cluster, log, maxPendingBytes = 64 * 2 ** 20, maxHeldBytes = 4 * 2 ** 20 } = this.#options;
    const link = new NatsLink({
      connection: await this.#dial(connectionName(cluster, this.peerId, lane), auth),
      lane,
      label: this.#label,
      maxPendingBytes: Math.max(maxPendingBytes, 2 * this.maxMessageBytes),
      maxHeldBytes,
      log,
      onDisconnected: () => this.#connectionChanged(),
      onReconnected: () => this.#connectionChanged(),
      onFailed: (error) => this.#failed(error),
    });
    this.#links.set(lane, link);
    const reassembler = new Reassembler(this.#chunks);
    const inbox = `${this.#subjects.inbox(this.peerId, lane)}.*`;
    link.connection.subscribe(inbox, { callback: unlessRefused((message) => this.#takeAnswer(message, reassembler)) });
  }

  #dial(name: string, auth: NatsAuth | undefined): Promise<NatsConnection> {
    const { clock, connectTimeoutMs: timeoutMs = 30_000, log } = this.#options;
    const connection = connectionOptions(this.#options, auth, name);
    return connectFirst({ connection, label: this.#label, clock, timeoutMs, log });
  }

  /** Two processes of one name would get each other's answers. One that does not answer is dead, and the broker will notice. */
  async #checkName(): Promise<void> {
    const link = this.#link('control');
    const { id, answer } = this.#pending.open(this.peerId, SAME_NAME_MS, BROKER);
    const reply = `${this.#subjects.inbox(this.peerId, 'control')}.${id}`;
    link.send(this.#parcel(link, this.#subjects.peer(this.peerId), EMPTY, reply));
    const isTaken = await answer.then(
      () => true,
      () => false,
    );
    if (isTaken) throw new StartupError(`A process named ${this.peerId} is already in the cluster ${this.#options.cluster}.`);
  }

  #deliver(link: NatsLink, message: Msg, data: Uint8Array, handler: Handler): void {
    const { reply } = message;
    const request = reply ? this.#unanswered.add() : null;
    const respond = (answer: Uint8Array): void => {
      if (!reply || request?.isAnswered) return;
      checkSize(message.subject, answer, this.maxMessageBytes);
      link.send(this.#parcel(link, reply, answer));
      if (request) this.#unanswered.answered(request);
    };
    loudly(() => handler({ subject: this.#subjects.fromWire(message.subject), data, respond }));
  }

  #refuse(link: NatsLink, message: Msg): void {
    if (!message.reply || this.#open.has(this.#subjects.fromWire(message.subject))) return;
    const nobody = headers();
    nobody.set(NOBODY_HERE, '1');
    link.send({ parts: [{ subject: message.reply, data: EMPTY, headers: nobody }], numBytes: 0 });
  }

  #takeAnswer(message: Msg, reassembler: Reassembler): void {
    const id = Number(message.subject.slice(message.subject.lastIndexOf('.') + 1));
    if (message.headers?.code === 503 || message.headers?.has(NOBODY_HERE)) {
      this.#pending.refuse(id, 'broker');
      return;
    }
    const data = reassembler.take(message);
    if (data !== null) this.#pending.answer(id, data);
  }

  /** Only the last chunk asks for an answer, so "no responders" comes once. */
  #parcel(link: NatsLink, subject: string, data: Uint8Array, reply?: string): Parcel {
    const maxPayload = link.connection.info?.max_payload ?? 2 ** 20;
    const pieces = cut(data, maxPayload, `${this.peerId}/${link.lane}`, () => ++this.#numLongMessages);
    const last = pieces.length - 1;
    const parts = pieces.map((piece, index): Part => ({ subject, ...piece, ...(reply && index === last && { reply }) }));
    return { parts, numBytes: data.byteLength };
  }

  #peerGone(peerId: string): void {
    if (this.#state === 'closed' || peerId === this.peerId) return;
    for (const handler of this.#goneHandlers) loudly(() => handler(peerId));
  }

  #connectionChanged(): void {
    const isConnected = [...this.#links.values()].every((link) => link.isConnected);
    if (this.#state !== 'open' || isConnected === this.#isConnected) return;
    this.#isConnected = isConnected;
    for (const handler of isConnected ? this.#reconnectedHandlers : this.#disconnectedHandlers) handler();
  }

  #failed(error: Error): void {
    if (this.#state === 'closed') return;
    this.#options.log?.error({}, error.message);
    this.#connectionChanged();
    for (const handler of this.#failedHandlers) handler(error);
  }

  async #atMost(ms: number, work: Promise<unknown>): Promise<void> {
    let timer: unknown;
    const expired = new Promise<void>((resolve) => {
      timer = this.#clock.setTimeout(resolve, ms);
    });
    await Promise.race([work.catch(ignore), expired]);
    this.#clock.clearTimeout(timer);
  }

  #link(lane: Lane): NatsLink {
    const link = this.#links.get(lane);
    if (!link) throw new Error(`The ${lane} connection is not open yet.`);
    return link;
  }
}

/** The client reports a missing permission where the messages would come; the link's log says so, and there is nothing to handle. */
const unlessRefused =
  (take: (message: Msg) => void) =>
  (error: Error | null, message: Msg): void => {
    if (!error) take(message);
  };

/** A handler's error ends the process as anywhere else; inside the client's reader it would be printed and the connection be deaf. */
function loudly(run: () => void): void {
  try {
    run();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

const ignore = (): void => {};
