/**
 * A frontend's desk for operators: ending requests and pausing, here and in every other frontend. The one that is asked asks the others,
 * which it knows by their beats; engines learn of a pause from the beats alone.
 */
import type { Clock } from '../core/clock.ts';
import { TroupeError } from '../core/errors.ts';
import { compareEpochs, type Epoch } from '../core/ids.ts';
import type { OpenGenerations } from '../core/open-generations.ts';
import type { AbortResult, FrontendSnapshot, PauseMode, PauseState } from '../core/operations.ts';
import { decodeOperatorReply, decodeOperatorRequest, decodeToEngine, encode } from '../transport/codec.ts';
import type { FrontendBeat, OperatorReply, OperatorRequest, PauseMark } from '../transport/messages.ts';
import { FRONTEND_BEATS, frontendRequests } from '../transport/subjects.ts';
import { type IncomingMessage, type Subscription, type Transport, TransportError } from '../transport/transport.ts';
import { BeatWatch } from './beat-watch.ts';
import type { Log } from './log.ts';
import { isFrozen, PauseRegister } from './pause-register.ts';
import { matchedName, type NamedRequest } from './request-names.ts';

/** A request that has not ended, as this desk sees it. */
export interface OperatedRequest {
  readonly name: NamedRequest;
  /** An engine has it, or had it and it continues elsewhere. */
  readonly isInFlight: boolean;
  /** Ends it with finish reason `abort`. */
  cancel(): void;
}

export interface OperationsDeskOptions {
  readonly frontendId: string;
  readonly epoch: Epoch;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Log;
  readonly beatMs: number;
  /** A frontend that is silent this long is gone. */
  readonly silenceMs: number;
  readonly requests: () => Iterable<OperatedRequest>;
  /** Of each engine that could compute now: the revision of the last pause that has taken effect in it. */
  readonly engineRevisions: () => Iterable<{ readonly id: string; readonly revision: number }>;
  readonly metricsSnapshot: () => Promise<string>;
  readonly open: OpenGenerations;
  /** Says at once how things are here: another frontend has just started. */
  readonly beat: () => void;
  /** The server was paused or resumed: tell the engines, wake whoever waits. */
  readonly onPause: (state: PauseState) => void;
}

interface Peer {
  readonly id: string;
  readonly epoch: Epoch;
  readonly peerId: string;
  readonly numOpen: number;
}

/** FastDeploy's limit for a control call; running requests may take that long. */
const FINISH_TIMEOUT_MS = 600_000;
/** For what needs no waiting: a few beats. */
const ANSWER_TIMEOUT_MS = 5000;
/** A scrape is not held up by a frontend that hangs. */
const METRICS_TIMEOUT_MS = 1000;

const EMPTY_REPLY: OperatorReply = { type: 'operatorReply', found: [], aborted: [] };

export class OperationsDesk {
  readonly #options: OperationsDeskOptions;
  readonly #pause = new PauseRegister();
  readonly #watch: BeatWatch;
  readonly #peers = new Map<string, Peer>();
  readonly #subscriptions: readonly Subscription[];
  /** Those who wait for requests to end or engines to stop: look again. */
  readonly #waiters = new Set<() => void>();

  constructor(options: OperationsDeskOptions) {
    const { transport, frontendId, epoch, clock, silenceMs, beatMs } = options;
    this.#options = options;
    this.#watch = new BeatWatch({ clock, silenceMs, tickMs: beatMs });
    this.#subscriptions = [
      transport.subscribe(FRONTEND_BEATS, (message) => this.#receiveBeat(message)),
      transport.subscribe(frontendRequests(frontendId, epoch), (message) => void this.#receive(message)),
    ];
    transport.onPeerGone((peerId) => {
      for (const peer of [...this.#peers.values()]) if (peer.peerId === peerId) this.#forget(peer.id);
    });
    transport.onSelfDisconnected(() => this.#watch.suspend());
    transport.onSelfReconnected(() => this.#watch.resume());
  }

  get pauseState(): PauseState {
    return this.#pause.state;
  }

  /** Goes into this frontend's beats. */
  get beatField(): Pick<FrontendBeat, 'pause' | 'numOpen'> {
    return { ...this.#pause.beatField, numOpen: this.#options.open.numHere };
  }

  /** Whether a request that looks for an engine has to wait for the resume. Those that run are held by `keep` alone. */
  holds(isInFlight: boolean): boolean {
    const { isPaused, mode } = this.#pause.state;
    return isPaused && (mode === 'keep' || !isInFlight);
  }

  async abortRequests(ids: readonly string[] | null): Promise<AbortResult> {
    const here = this.#abortHere(ids);
    const answers = await this.#askPeers({ type: 'abortRequests', ids }, ANSWER_TIMEOUT_MS);
    const found = new Set([here, ...answers].flatMap((answer) => answer.found));
    const aborted = [...new Set([here, ...answers].flatMap((answer) => answer.aborted))];
    this.#options.log.info({ numRequests: aborted.length, ids: ids ?? 'all' }, 'requests aborted by an operator');
    return { aborted, notFound: ids?.filter((id) => !found.has(id)) ?? [] };
  }

  async setPause(isPaused: boolean, mode: PauseMode): Promise<void> {
    const mark = this.#pause.next(this.#options.frontendId, isPaused, mode);
    const timeoutMs = isPaused && mode === 'wait' ? FINISH_TIMEOUT_MS : ANSWER_TIMEOUT_MS;
    this.#adopt(mark);
    await Promise.all([this.#settle(mark, timeoutMs), this.#askPeers({ type: 'pauseRequest', mark }, timeoutMs)]);
  }

  async peerMetrics(): Promise<FrontendSnapshot[]> {
    const data = encode({ type: 'metricsRequest' });
    const snapshots = [...this.#peers.values()].map(async (peer) => {
      const answer = await this.#ask(peer, data, METRICS_TIMEOUT_MS).catch(() => null);
      return answer?.metrics === undefined ? null : { frontend: peer.id, json: answer.metrics };
    });
    return (await Promise.all(snapshots)).filter((snapshot) => snapshot !== null);
  }

  /** An engine's beat says what it knows of a pause. */
  heardEngine(mark: PauseMark | undefined): void {
    this.#adopt(mark);
    this.look();
  }

  /** A request ended or an engine is gone: what somebody waits for may have come true. */
  look(): void {
    for (const wake of [...this.#waiters]) wake();
  }

  /** To be called every `beatMs`. */
  tick(): void {
    for (const id of this.#watch.tick()) this.#forget(id);
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.look();
  }

  #adopt(mark: PauseMark | undefined): void {
    const wasPaused = this.#pause.state.isPaused;
    if (!this.#pause.adopt(mark)) return;
    const { isPaused, mode } = this.#pause.state;
    if (isPaused || wasPaused) this.#options.log.info({ isPaused, ...(isPaused && { mode }) }, isPaused ? 'paused' : 'resumed');
    if (isPaused && mode === 'abort') for (const request of [...this.#options.requests()]) request.cancel();
    this.#options.onPause(this.#pause.state);
    this.look();
  }

  /** Resolves when what runs here is as the mark wants it, or the mark no longer holds. @throws TroupeError timeout. */
  async #settle(mark: PauseMark, timeoutMs: number): Promise<void> {
    const { clock } = this.#options;
    const deadline = clock.monotonic() + timeoutMs;
    for (;;) {
      const missing = this.#missing(mark);
      if (missing === null) return;
      const leftMs = deadline - clock.monotonic();
      if (leftMs <= 0) throw new TroupeError('timeout', `The server did not get there within ${timeoutMs / 1000} s: ${missing}.`);
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiters.delete(wake);
          clock.clearTimeout(timer);
          resolve();
        };
        const timer = clock.setTimeout(wake, leftMs);
        this.#waiters.add(wake);
      });
    }
  }

  /** What is not yet as the mark wants it; null = nothing. */
  #missing(mark: PauseMark): string | null {
    if (mark.revision !== this.#pause.mark.revision || !mark.isPaused) return null;
    if (isFrozen(mark)) {
      for (const { id, revision } of this.#options.engineRevisions())
        if (revision < mark.revision) return `engine ${id} has not confirmed the pause`;
      return null;
    }
    let numInFlight = 0;
    for (const request of this.#options.requests()) if (request.isInFlight) numInFlight++;
    return numInFlight === 0 ? null : `${numInFlight} requests still run in ${this.#options.frontendId}`;
  }

  #abortHere(ids: readonly string[] | null): OperatorReply {
    const found = new Set<string>();
    const aborted = new Set<string>();
    for (const request of [...this.#options.requests()]) {
      const names = ids === null ? [request.name.batchId ?? request.name.requestId] : matchingNames(ids, request.name, found);
      if (names.length === 0) continue;
      for (const name of names) aborted.add(name);
      request.cancel();
    }
    return { type: 'operatorReply', found: [...found], aborted: [...aborted] };
  }

  /** The answers of all frontends that still live. @throws TroupeError timeout. */
  async #askPeers(request: OperatorRequest, timeoutMs: number): Promise<OperatorReply[]> {
    const data = encode(request);
    const answers = await Promise.all([...this.#peers.values()].map((peer) => this.#ask(peer, data, timeoutMs)));
    return answers.filter((answer) => answer !== null);
  }

  /** Null: it is gone, and its requests with it. */
  async #ask({ id, epoch }: Peer, data: Uint8Array, timeoutMs: number): Promise<OperatorReply | null> {
    try {
      return decodeOperatorReply(await this.#options.transport.request(frontendRequests(id, epoch), data, timeoutMs));
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      if (error.code === 'no_responders') return null;
      throw new TroupeError('timeout', `${id} did not answer within ${timeoutMs / 1000} s (${error.code}).`, { cause: error });
    }
  }

  async #receive(incoming: IncomingMessage): Promise<void> {
    try {
      incoming.respond(encode(await this.#answer(decodeOperatorRequest(incoming.data))));
    } catch (error) {
      // Whoever asked notices that no answer comes.
      this.#options.log.warn({ error: String(error) }, 'an operator request of another frontend could not be answered');
    }
  }

  async #answer(request: OperatorRequest): Promise<OperatorReply> {
    if (request.type === 'abortRequests') return this.#abortHere(request.ids);
    if (request.type === 'metricsRequest') return { ...EMPTY_REPLY, metrics: await this.#options.metricsSnapshot() };
    this.#adopt(request.mark);
    await this.#settle(request.mark, FINISH_TIMEOUT_MS);
    return EMPTY_REPLY;
  }

  #receiveBeat({ data }: IncomingMessage): void {
    const beat = readBeat(data);
    if (!beat || beat.frontendId === this.#options.frontendId) return;
    const known = this.#peers.get(beat.frontendId);
    if (known && compareEpochs(beat.frontendEpoch, known.epoch) < 0) return;
    const { frontendId: id, frontendEpoch: epoch, peerId, numOpen = 0 } = beat;
    this.#peers.set(id, { id, epoch, peerId, numOpen });
    this.#countOpenElsewhere();
    this.#watch.heard(id);
    this.#adopt(beat.pause);
    if (!known || compareEpochs(known.epoch, epoch) !== 0) this.#options.beat();
  }

  #forget(id: string): void {
    this.#peers.delete(id);
    this.#watch.forget(id);
    this.#countOpenElsewhere();
  }

  #countOpenElsewhere(): void {
    let numOpen = 0;
    for (const peer of this.#peers.values()) numOpen += peer.numOpen;
    this.#options.open.setElsewhere(numOpen);
  }
}

/** The ids that mean this request; `found` learns which were given. */
function matchingNames(ids: readonly string[], request: NamedRequest, found: Set<string>): string[] {
  const names: string[] = [];
  for (const id of ids) {
    const name = matchedName(id, request);
    if (name === null) continue;
    found.add(id);
    names.push(name);
  }
  return names;
}

function readBeat(data: Uint8Array): FrontendBeat | null {
  try {
    const message = decodeToEngine(data);
    return message.type === 'frontendBeat' ? message : null;
  } catch {
    return null; // the engines complain about it
  }
}
