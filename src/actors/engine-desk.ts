/**
 * The engine group's desk: everything that comes in over the transport is turned into messages for the rank, and every turn of the
 * rank into one frame per frontend. It decides nothing about a group's life (engine-group.ts does) and nothing about tokens (the rank does).
 */
import type { Clock } from '../core/clock.ts';
import type { Epoch } from '../core/ids.ts';
import type { AddResult, EngineStats } from '../engine/request.ts';
import { decodeToEngine, encode, encodeFrame } from '../transport/codec.ts';
import {
  type AbortRequest,
  type Ack,
  type AddRequest,
  type EngineBeat,
  type FrontendBeat,
  type HoldRequest,
  type Nack,
  type PauseMark,
  PROTOCOL_VERSION,
  type ReplayRequest,
} from '../transport/messages.ts';
import { ENGINE_BEATS, engineControl, engineRequests, FRONTEND_BEATS, frontendFrames } from '../transport/subjects.ts';
import type { IncomingMessage, Subscription, Transport } from '../transport/transport.ts';
import { BeatWatch } from './beat-watch.ts';
import type { DeskLegacy, DeskStanding } from './desk-standing.ts';
import { countersOf, creditOf, idleLoad, loadOf } from './engine-numbers.ts';
import { type FrontendSession, FrontendSessions } from './frontend-sessions.ts';
import { GrammarAdmission, type GrammarOpener } from './grammar-admission.ts';
import { HeldRequests, heldAt } from './held-requests.ts';
import { KvFeed } from './kv-feed.ts';
import type { Log } from './log.ts';
import { isFrozen, PauseRegister } from './pause-register.ts';
import { PendingAdds, respond } from './pending-adds.ts';
import type { ToRank, Turn } from './rank-port.ts';
import { Trials } from './trials.ts';

export interface EngineDeskOptions {
  readonly engineId: string;
  readonly epoch: Epoch;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Log;
  readonly maxNumSeqs: number;
  readonly beatMs: number;
  /** A frontend that is silent this long is gone. */
  readonly silenceMs: number;
  readonly postToRank: (message: ToRank) => void;
  /** The rank computes, or has messages that it has not taken. */
  readonly isRankBusy: () => boolean;
  /** What the desk of the group's earlier epoch left. */
  readonly predecessor?: DeskLegacy | undefined;
  /** Compiles constraints; absent = constrained requests are refused. */
  readonly grammars?: GrammarOpener | undefined;
  /** Something was given back or acknowledged: a draining group looks whether it is done. */
  readonly onQuieter: () => void;
  readonly onDrainRequest: () => void;
}

const LOADING_RETRY_MS = 1000;
/** Short requests that follow each other make no more beats than this. */
const IDLE_BEAT_MS = 20;
const STALE: Nack = { type: 'nack', code: 'stale', retryAfterMs: 0, message: 'A later start of this frontend is known.' };

export class EngineDesk {
  readonly #options: EngineDeskOptions;
  readonly #sessions = new FrontendSessions();
  readonly #watch: BeatWatch;
  readonly #pause = new PauseRegister();
  /** Of the last pause that has taken effect in the rank. */
  #freezeRevision = 0;
  readonly #subscriptions: Subscription[];
  readonly #grammars: GrammarAdmission;
  readonly #pendingAdds: PendingAdds;
  readonly #kvFeed: KvFeed;
  readonly #held: HeldRequests;
  readonly #trials = new Trials(() => this.beat());
  readonly #accepted = { requests: 0, prefillTokens: 0 };
  #standing: DeskStanding = { state: 'starting', fingerprint: '', reason: null, numBlocks: 0, blockSize: null };
  #stats: EngineStats | null = null;
  #collective: Turn['collective'];
  #stepId = 0;
  #isMigrating = false;
  /** The last beat said that it has work, or frontends have given it some since. */
  #isThoughtBusy = false;
  #idleBeat: unknown = null;
  #isClosed = false;
  /** Messages that were unreadable or came from an earlier start of a frontend. */
  numRefused = 0;

  constructor(options: EngineDeskOptions) {
    this.#options = options;
    const { transport, engineId, epoch } = options;
    this.#held = new HeldRequests(options.clock, options.postToRank);
    this.#grammars = new GrammarAdmission(options.grammars ?? null);
    this.#kvFeed = new KvFeed({ ...options, ...(options.predecessor && { blocks: options.predecessor.blocks }) });
    this.#pendingAdds = new PendingAdds(options.predecessor?.nextTag);
    this.#watch = new BeatWatch({ clock: options.clock, silenceMs: options.silenceMs, tickMs: options.beatMs });
    const receive = (message: IncomingMessage): void => this.#receive(message);
    this.#subscriptions = [engineRequests(engineId, epoch), engineControl(engineId, epoch), FRONTEND_BEATS].map((subject) =>
      transport.subscribe(subject, receive),
    );
    transport.onPeerGone((peerId) => {
      for (const session of this.#sessions.withPeer(peerId)) this.#frontendGone(session, 'its process is gone');
    });
    transport.onSelfDisconnected(() => this.#watch.suspend());
    transport.onSelfReconnected(() => this.#watch.resume());
  }

  /** Of the rank's last turn. */
  get stepId(): number {
    return this.#stepId;
  }

  /** Nothing runs, nothing waits for an answer, and every frame has been acknowledged by those who still can. */
  get isQuiet(): boolean {
    if (this.#sessions.numRunning > 0 || this.#pendingAdds.size > 0) return false;
    for (const session of this.#sessions.all()) if (!session.isGone && !session.ring.isEmpty) return false;
    return true;
  }

  /** Says the new standing to all frontends at once. */
  setStanding(standing: DeskStanding): void {
    this.#standing = standing;
    this.beat();
  }

  /** Frontends move what runs here to equal engines, where there are any. */
  migrate(): void {
    this.#isMigrating = true;
    this.beat();
  }

  /** One turn of the rank: adds are answered, outputs become one frame per frontend. */
  deliver(turn: Turn): void {
    if (this.#isClosed) return;
    this.#stats = turn.stats;
    this.#collective = turn.collective;
    this.#stepId = turn.stepId;
    if (turn.kv) this.#kvFeed.take(turn.kv);
    const isConfirmed = (turn.freezeRevision ?? 0) > this.#freezeRevision;
    this.#freezeRevision = turn.freezeRevision ?? this.#freezeRevision;
    for (const error of turn.errors) this.#options.log.error({ engine: this.#options.engineId }, error);
    if (turn.answers.length > 0) this.#isThoughtBusy = true;
    for (const { tag, result } of turn.answers) this.#answerAdd(tag, result);
    for (const { key } of turn.outputs) this.#trials.passed(key);
    for (const [session, entries] of this.#sessions.distribute(turn.outputs)) {
      const frame = encodeFrame([
        PROTOCOL_VERSION,
        this.#options.engineId,
        this.#options.epoch,
        session.epoch,
        session.ring.nextSeq,
        turn.stepId,
        entries,
      ]);
      session.ring.push(frame);
      this.#options.transport.publish(frontendFrames(session.frontendId, session.epoch), frame);
      if (session.isGone && session.running.size === 0) session.ring.clear();
    }
    if (this.#sessions.numRunning === 0) this.#options.onQuieter();
    this.#sayIfIdle(turn.stats);
    if (isConfirmed) this.beat();
  }

  /** To be called every `beatMs`: looks for silent frontends, then says how things are. */
  tick(): void {
    for (const frontendId of this.#watch.tick()) {
      for (const session of this.#sessions.all())
        if (session.frontendId === frontendId) this.#frontendGone(session, `no beat for ${this.#options.silenceMs} ms`);
    }
    this.#held.tick(this.#sessions.all());
    this.beat();
  }

  beat(): void {
    if (this.#isClosed) return;
    this.#options.clock.clearTimeout(this.#idleBeat);
    this.#idleBeat = null;
    const beat = this.#beatNow();
    this.#isThoughtBusy = beat.load.numRunning + beat.load.numWaiting > 0;
    this.#options.transport.publish(ENGINE_BEATS, encode(beat));
  }

  /** Ends this epoch: what it ran is aborted, and nothing of it is told any more. */
  retire(): DeskLegacy {
    for (const session of this.#sessions.all()) this.#frontendGone(session, 'this epoch was given up');
    this.close();
    return { nextTag: this.#pendingAdds.nextTag, blocks: this.#kvFeed.blocks };
  }

  close(): void {
    this.#isClosed = true;
    this.#kvFeed.close();
    this.#options.clock.clearTimeout(this.#idleBeat);
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    const stopping: Nack = { type: 'nack', code: 'draining', retryAfterMs: LOADING_RETRY_MS, message: 'The engine is stopping.' };
    for (const pending of this.#pendingAdds.takeAll()) respond(pending.askers, stopping);
  }

  /** Routers think of it as busy until they hear of it: an engine that has become idle says so soon. */
  #sayIfIdle({ numRunning, numWaiting }: EngineStats): void {
    this.#isThoughtBusy ||= numRunning + numWaiting > 0;
    if (numRunning + numWaiting === 0 && this.#isThoughtBusy)
      this.#idleBeat ??= this.#options.clock.setTimeout(() => this.beat(), IDLE_BEAT_MS);
  }

  #receive(incoming: IncomingMessage): void {
    try {
      const message = decodeToEngine(incoming.data);
      switch (message.type) {
        case 'addRequest':
          this.#add(message, incoming);
          break;
        case 'abort':
          this.#abort(message);
          break;
        case 'hold':
          this.#hold(message);
          break;
        case 'replay':
          this.#replay(message);
          break;
        case 'frontendBeat':
          this.#heardFrontend(message);
          break;
        case 'drain':
          incoming.respond(encode({ type: 'ack', position: 0 }));
          this.#options.onDrainRequest();
          break;
        case 'kvDump':
          incoming.respond(encode(this.#kvFeed.dump()));
          break;
        default:
          message satisfies never;
      }
    } catch (error) {
      this.numRefused++;
      this.#options.log.warn({ subject: incoming.subject, error: String(error) }, 'refused a message that could not be read');
    }
  }

  #add(request: AddRequest, incoming: IncomingMessage): void {
    const session = this.#sessionOf(request.frontendId, request.frontendEpoch);
    const key = session?.keyOf(request.slot, request.attempt) ?? '';
    const pending = this.#pendingAdds.find(key);
    const answer = session ? (session.answerOf(key) ?? this.#refusal()) : STALE;
    if (pending) pending.askers.push(incoming);
    else if (answer) respond([incoming], answer);
    else if (session) this.#giveToRank(session, key, request, incoming);
  }

  #giveToRank(session: FrontendSession, key: string, request: AddRequest, incoming: IncomingMessage): void {
    const tag = this.#pendingAdds.add({ session, key, numPromptTokens: request.promptIds.length, askers: [incoming] });
    if (request.params.constraint === null) this.#postAdd(tag, key, request);
    else void this.#giveWithGrammar(tag, key, request);
    // The rank may answer with tokens in the same turn, so the request is known before it is accepted.
    const numUnfinished = request.choices.filter((choice) => !choice.finished).length;
    this.#sessions.begin(session, { key, slot: request.slot, attempt: request.attempt, numUnfinished, heldSince: null, isParked: false });
  }

  #postAdd(tag: number, key: string, request: AddRequest, grammar?: unknown): void {
    const { promptIds, params, seed, choices, cacheSalt, priority } = request;
    const { frontendId, frontendEpoch, slot, attempt, isSuspect = false } = request;
    const mark = isSuspect ? { frontendId, frontendEpoch, slot, attempt } : null;
    const forRank = { key, promptIds, params, seed, choices, cacheSalt, priority, grammar };
    this.#trials.post(key, mark, () => this.#options.postToRank({ type: 'add', tag, request: forRank }));
  }

  async #giveWithGrammar(tag: number, key: string, request: AddRequest): Promise<void> {
    const opened = await this.#grammars.open(key, request);
    if (opened && 'grammar' in opened && !this.#isClosed) return this.#postAdd(tag, key, request, opened.grammar);
    const dropped = { type: 'nack', code: 'draining', retryAfterMs: 0, message: 'The request was given up.' } as const;
    this.#answerAdd(tag, opened && 'code' in opened ? opened : dropped);
  }

  /** Not remembered: the same attempt may come again when the group serves. */
  #refusal(): Nack | null {
    const { state } = this.#standing;
    if (state === 'serving') return null;
    const isComing = state === 'starting' || state === 'loading';
    return {
      type: 'nack',
      code: isComing ? 'loading' : 'draining',
      retryAfterMs: LOADING_RETRY_MS,
      message: `Engine ${this.#options.engineId} is ${state}.`,
    };
  }

  #answerAdd(tag: number, result: AddResult): void {
    const pending = this.#pendingAdds.take(tag);
    if (!pending) return;
    if (result.type === 'nack') {
      this.#trials.passed(pending.key);
      this.#sessions.end(pending.session, pending.key);
    }
    if (result.type === 'ack') {
      this.#accepted.requests++;
      this.#accepted.prefillTokens += pending.numPromptTokens;
    }
    const answer: Ack | Nack = result.type === 'ack' ? { type: 'ack', position: result.position } : result;
    pending.session.rememberAnswer(pending.key, answer);
    respond(pending.askers, answer);
  }

  #abort(message: AbortRequest): void {
    const session = this.#sessions.find(message.frontendId, message.frontendEpoch);
    if (!session) return;
    const key = session.keyOf(message.slot, message.attempt);
    if (!session.running.has(key)) return;
    this.#grammars.drop(key);
    this.#options.postToRank({ type: 'abort', key, choice: message.choice });
    this.#trials.passed(key);
  }

  #hold(message: HoldRequest): void {
    const session = this.#sessions.find(message.frontendId, message.frontendEpoch);
    const request = session?.running.get(session.keyOf(message.slot, message.attempt));
    if (!request) return;
    this.#held.set(request, message.isHeld);
    if (message.isHeld) this.#trials.passed(request.key); // nothing of it comes for now
  }

  #replay(message: ReplayRequest): void {
    const session = this.#sessions.find(message.frontendId, message.frontendEpoch);
    if (!session) return;
    const subject = frontendFrames(session.frontendId, session.epoch);
    for (const frame of session.ring.from(message.fromFrameSeq)) this.#options.transport.publish(subject, frame);
  }

  #heardFrontend(beat: FrontendBeat): void {
    const session = this.#sessionOf(beat.frontendId, beat.frontendEpoch);
    if (!session) return;
    session.peerId = beat.peerId;
    this.#heardOfPause(beat.pause);
    const { engineId, epoch } = this.#options;
    this.#held.repeat(session, heldAt(beat, engineId, epoch));
    for (const ack of beat.acks) {
      if (ack.engineId !== engineId || ack.engineEpoch[0] !== epoch[0] || ack.engineEpoch[1] !== epoch[1]) continue;
      session.ring.acknowledge(ack.frameSeq);
      if (session.ring.isEmpty) this.#options.onQuieter();
    }
  }

  #heardOfPause(mark: PauseMark | undefined): void {
    if (!this.#pause.adopt(mark)) return;
    const { revision } = this.#pause.mark;
    this.#options.postToRank({ type: 'freeze', isFrozen: isFrozen(this.#pause.mark), revision });
  }

  #sessionOf(frontendId: string, epoch: Epoch): FrontendSession | null {
    const opened = this.#sessions.open(frontendId, epoch);
    if (!opened) {
      this.numRefused++;
      return null;
    }
    if (opened.superseded) this.#frontendGone(opened.superseded, 'it started again');
    opened.session.isGone = false;
    this.#watch.heard(frontendId);
    // A frontend that has just started need not wait for the next beat to know that this engine serves.
    if (opened.isNew) this.beat();
    return opened.session;
  }

  #frontendGone(session: FrontendSession, why: string): void {
    if (session.isGone) return;
    session.isGone = true;
    this.#watch.forget(session.frontendId);
    const numRequests = session.running.size;
    for (const key of session.running.keys()) {
      this.#grammars.drop(key);
      this.#options.postToRank({ type: 'abort', key, choice: null });
      this.#trials.passed(key);
    }
    if (numRequests === 0) session.ring.clear();
    else this.#options.log.info({ frontend: session.frontendId, numRequests }, `frontend lost (${why}): its requests are aborted`);
    this.#options.onQuieter();
  }

  #beatNow(): EngineBeat {
    const { engineId, epoch, transport, maxNumSeqs } = this.#options;
    const { state, fingerprint, reason, numBlocks, blockSize } = this.#standing;
    const stats = this.#stats;
    const load = stats ? loadOf(stats, maxNumSeqs, this.#pendingAdds.numPromptTokens) : idleLoad(maxNumSeqs, numBlocks);
    return {
      type: 'engineBeat',
      engineId,
      engineEpoch: epoch,
      peerId: transport.peerId,
      state,
      fingerprint,
      reason,
      stepId: this.#stepId,
      load,
      counters: stats ? countersOf(stats, this.#collective) : {},
      frameSeqs: this.#sessions.frameSeqs(),
      ...this.#pause.beatField,
      pauseRevision: this.#freezeRevision,
      ...(this.#isMigrating && { isMigrating: true }),
      ...(this.#trials.current && { trial: this.#trials.current }),
      isBusy: (state === 'serving' || state === 'draining') && this.#options.isRankBusy(),
      credit: creditOf(load, this.#accepted),
      ...(blockSize !== null && { blockSize, kvSeq: this.#kvFeed.kvSeq }),
    };
  }
}
