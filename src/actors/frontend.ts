/**
 * The API process's half of the request path: text in, text out, and in between token ids that travel to an engine and back.
 * Its own states (loading, ready, recovering, draining, failed, closed) are the machine in frontend-lifecycle.ts; each request's are the
 * machine in request.ts, one root actor each. Tokens go past both.
 */
import { createActor } from 'xstate';
import { TroupeError } from '../core/errors.ts';
import type { GenerateRequest, Generation, ModelCard, Readiness, TextGenerator } from '../core/generation.ts';
import { compareEpochs } from '../core/ids.ts';
import { OpenGenerations } from '../core/open-generations.ts';
import type { AbortResult, EngineFacts, FrontendSnapshot, Operations, PauseMode, PauseState } from '../core/operations.ts';
import type { Pooled, Pooler, PoolingRequest } from '../core/pooling.ts';
import type { TextTools } from '../core/text-tools.ts';
import { RequestTemplates } from '../text/chat-template.ts';
import { decodeFrame, decodeToFrontend } from '../transport/codec.ts';
import type { TrialMark } from '../transport/messages.ts';
import { ENGINE_BEATS, frontendFrames } from '../transport/subjects.ts';
import type { IncomingMessage, Subscription } from '../transport/transport.ts';
import { Directory, type EngineEntry, engineKey, type LossCause } from './directory.ts';
import { EngineChooser } from './engine-chooser.ts';
import { EngineMail } from './engine-mail.ts';
import { FrameDelivery } from './frame-delivery.ts';
import { frontendMachine, readinessOf } from './frontend-lifecycle.ts';
import { type FrontendMetrics, noMetrics } from './frontend-metrics.ts';
import type { FrontendOptions } from './frontend-options.ts';
import { heldList } from './held-list.ts';
import { LiveRequest, type LiveRequestPorts } from './live-request.ts';
import { ModelTextTools } from './model-text-tools.ts';
import { OperationsDesk } from './operations-desk.ts';
import { Placement } from './placement.ts';
import { asGenerateRequest, preparePooling } from './prepare-pooling.ts';
import { type PreparedRequest, type PrepareOptions, prepareRequest } from './prepare-request.ts';
import { PreparingRequest } from './preparing-request.ts';
import { PromptEncoder } from './prompt-encoder.ts';
import { repeat } from './repeat.ts';
import type { Outcome } from './request.ts';
import { ThroughputLog } from './throughput-log.ts';

export type { FrontendOptions } from './frontend-options.ts';

export interface Frontend extends TextGenerator, Pooler, Operations {
  readonly textTools: TextTools;
  /** Requests that have not ended. */
  readonly numLive: number;
  /** Refuses new requests; resolves when the running ones have ended. */
  drain(): Promise<void>;
  /** No engine will come back: `readiness` and new requests say so. Running requests go on waiting as long as they may. */
  setFailed(reason: string): void;
  /** Fails what still runs and leaves the transport's subscriptions. */
  close(): void;
}

/** Eight beats. Its requests then go on elsewhere; it comes back under a new epoch. */
const ENGINE_SILENCE_MS = 2000;
/** Another frontend that is silent this long is gone. */
const SILENCE_MS = 3000;
const THROUGHPUT_LOG_MS = 10_000;

export function createFrontend(options: FrontendOptions): Frontend {
  return new RunningFrontend(options);
}

class RunningFrontend implements Frontend {
  readonly model: ModelCard;
  readonly textTools: TextTools;
  readonly #options: FrontendOptions;
  readonly #metrics: FrontendMetrics;
  readonly #directory: Directory;
  readonly #mail: EngineMail;
  readonly #frames: FrameDelivery;
  readonly #chooser: EngineChooser;
  readonly #placement: Placement;
  readonly #ports: LiveRequestPorts;
  readonly #promptEncoder: PromptEncoder;
  readonly #operations: OperationsDesk;
  readonly #preparing = new Set<PreparingRequest>();
  readonly #templates: RequestTemplates;
  readonly #live = new Map<number, LiveRequest>();
  readonly #subscriptions: readonly Subscription[];
  readonly #timers: { stop(): void }[];
  readonly #drained: (() => void)[] = [];
  readonly #lifecycle;
  #nextSlot = 1;

  constructor(options: FrontendOptions) {
    const { transport, clock, frontendId, epoch } = options;
    const beatMs = options.beatMs ?? 250;
    this.#options = options;
    this.#lifecycle = createActor(frontendMachine, { clock }).start();
    this.model = options.model;
    this.#metrics = options.metrics ?? noMetrics;
    this.#promptEncoder = new PromptEncoder({ ...options.text, clock });
    this.#templates = new RequestTemplates(options.text.chatTemplate);
    this.textTools = new ModelTextTools({ text: options.text, encode: this.#promptEncoder.encode, templates: this.#templates });
    this.#directory = new Directory({
      clock,
      beatMs,
      silenceMs: options.engineSilenceMs ?? ENGINE_SILENCE_MS,
      onLost: (engine, reason, cause) => this.#engineLost(engine, reason, cause),
      onChanged: ({ isServing, lastLoss }) => this.#lifecycle.send({ type: 'engines.changed', isServing, lastLoss }),
    });
    this.#mail = new EngineMail(options);
    this.#frames = new FrameDelivery({
      frontendId,
      epoch,
      clock,
      mail: this.#mail,
      metrics: this.#metrics,
      live: this.#live,
      isStale: (id, at) => this.#directory.isStale(id, at),
    });
    this.#chooser = new EngineChooser({ ...options, directory: this.#directory, metrics: this.#metrics });
    this.#placement = new Placement({
      chooser: this.#chooser,
      frontendId,
      epoch,
      transport,
      clock,
      directory: this.#directory,
      engineWaitMs: options.engineWaitMs ?? 30_000,
      maxNumWaiting: options.maxNumWaiting ?? 1024,
      isHeld: (request) => this.#operations.holds(request.wasAccepted),
    });
    this.#operations = new OperationsDesk({
      ...options,
      beatMs,
      silenceMs: SILENCE_MS,
      requests: () => [...this.#live.values(), ...this.#preparing],
      engineRevisions: () => this.#engineRevisions(),
      metricsSnapshot: () => this.#metrics.snapshot?.() ?? Promise.resolve('[]'),
      open: options.open ?? new OpenGenerations(),
      beat: () => this.#beat(),
      onPause: (state) => this.#paused(state),
    });
    this.#ports = {
      findEngine: (request, signal) => this.#placement.findEngine(request, signal),
      offer: (request, engine, attempt, signal) => this.#placement.offer(request, engine, attempt, signal),
      abortAtEngine: (request, choice) => {
        const at = request.assignment;
        if (at) this.#mail.abort(at.engine, { slot: request.slot, attempt: at.attempt, choice });
      },
      holdAtEngine: ({ slot, assignment: at }, isHeld) => at && this.#mail.hold(at.engine, { slot, attempt: at.attempt }, isHeld),
      onFirstToken: (request) => this.#chooser.record(request.assignment!.engine, 'progress', request.slot),
      onEnd: (request, outcome) => this.#ended(request, outcome),
    };
    this.#subscriptions = [
      transport.subscribe(frontendFrames(frontendId, epoch), (message) => this.#receiveFrame(message)),
      transport.subscribe(ENGINE_BEATS, (message) => this.#receiveBeat(message)),
    ];
    transport.onPeerGone((peerId) => this.#directory.peerGone(peerId));
    transport.onSelfDisconnected(() => this.#directory.suspend());
    transport.onSelfReconnected(() => this.#directory.resume());
    this.#timers = [repeat(clock, beatMs, () => this.#tick())];
    if (options.logsThroughput ?? true) this.#timers.push(this.#logThroughput());
    this.#beat();
  }

  get numLive(): number {
    return this.#live.size;
  }

  readiness(): Readiness {
    const readiness = readinessOf(this.#lifecycle.getSnapshot());
    const isOpen = readiness.state === 'ready' || readiness.state === 'recovering';
    const { isPaused, mode } = this.#operations.pauseState;
    return isOpen && isPaused ? { state: 'paused', reason: `An operator paused the server (mode ${mode}).` } : readiness;
  }

  async generate(request: GenerateRequest, signal: AbortSignal): Promise<Generation> {
    const timed = { ...request, timeoutMs: request.timeoutMs ?? this.#options.requestTimeoutMs };
    const live = await this.#run(timed, signal, (options) => prepareRequest(request, this.#options.text, options));
    return live.generation;
  }

  async pool(request: PoolingRequest, signal: AbortSignal): Promise<Pooled> {
    const live = await this.#run(asGenerateRequest(request), signal, (options) => preparePooling(request, this.#options.text, options));
    for await (const _ of live.generation.deltas); // one, and empty: its end is what is waited for
    signal.throwIfAborted();
    if (live.hidden === null) throw new TroupeError('cancelled', 'An operator ended this request.');
    const { promptTokens, cachedTokens } = live.usage();
    return { hidden: live.hidden, numPromptTokens: promptTokens, numCachedTokens: cachedTokens };
  }

  /** Resolves when an engine accepted the request. */
  async #run(
    request: GenerateRequest,
    signal: AbortSignal,
    prepare: (options: PrepareOptions) => Promise<PreparedRequest>,
  ): Promise<LiveRequest> {
    const arrivedAt = this.#options.clock.monotonic();
    signal.throwIfAborted();
    this.#refuseUnlessOpen();
    const { text, clock } = this.#options;
    const preparing = new PreparingRequest(request);
    this.#preparing.add(preparing);
    const prepared = await prepare({ encode: this.#promptEncoder.encode, templates: this.#templates, signal }).finally(() =>
      this.#preparing.delete(preparing),
    );
    signal.throwIfAborted();
    this.#refuseUnlessOpen(); // a long prompt takes its time
    const live = new LiveRequest({
      request,
      prepared,
      slot: this.#nextSlot++,
      seed: request.seed ?? this.#options.newSeed(),
      model: text,
      clock,
      arrivedAt,
      maxUnreadTokens: this.#options.maxUnreadTokens,
      ports: this.#ports,
    });
    this.#live.set(live.slot, live);
    const abort = (): void => live.abort();
    signal.addEventListener('abort', abort, { once: true });
    live.onEnded(() => signal.removeEventListener('abort', abort));
    const accepted = live.start();
    if (preparing.isCancelled) live.cancel();
    await accepted;
    return live;
  }

  abortRequests(ids: readonly string[] | 'all'): Promise<AbortResult> {
    return this.#operations.abortRequests(ids === 'all' ? null : ids);
  }

  pause(mode: PauseMode): Promise<void> {
    return this.#operations.setPause(true, mode);
  }

  async resume(): Promise<void> {
    const { isPaused, mode } = this.#operations.pauseState;
    if (isPaused) await this.#operations.setPause(false, mode);
  }

  pauseState(): PauseState {
    return this.#operations.pauseState;
  }

  peerMetrics(): Promise<FrontendSnapshot[]> {
    return this.#operations.peerMetrics();
  }

  engines(): readonly EngineFacts[] {
    return [...this.#directory.engines()].map(({ id, state, fingerprint, load }) => ({ id, state, fingerprint, load }));
  }

  drain(): Promise<void> {
    // What stands still would never finish.
    this.resume().catch((error: unknown) => this.#options.log.warn({ error: String(error) }, 'the pause outlasts the drain'));
    this.#lifecycle.send({ type: 'drain' });
    return new Promise((resolve) => {
      this.#drained.push(resolve);
      this.#resolveIfDrained();
    });
  }

  setFailed(reason: string): void {
    this.#lifecycle.send({ type: 'fail', reason });
  }

  close(): void {
    this.#lifecycle.send({ type: 'close' });
    for (const live of [...this.#live.values()]) live.fail(new TroupeError('server_draining', 'The server was stopped.'));
    this.#operations.close();
    this.#chooser.close();
    for (const timer of this.#timers) timer.stop();
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  /** Before anything is tokenised. */
  #refuseUnlessOpen(): void {
    const readiness = this.readiness();
    switch (readiness.state) {
      case 'ready':
      case 'recovering':
      case 'paused':
        return;
      case 'loading':
        throw this.#placement.modelLoading();
      case 'draining':
        throw new TroupeError('server_draining', 'The server is shutting down and takes no new requests.');
      case 'failed':
        throw new TroupeError('no_engine', readiness.reason);
      default:
        readiness satisfies never;
    }
  }

  #receiveFrame(message: IncomingMessage): void {
    const frame = this.#read(() => decodeFrame(message.data));
    if (frame) this.#frames.take(frame);
  }

  #receiveBeat(message: IncomingMessage): void {
    const beat = this.#read(() => decodeToFrontend(message.data));
    if (!beat) return;
    if (this.#directory.heard(beat)) {
      const isGone = beat.state === 'drained' || beat.state === 'failed';
      if (!isGone) this.#metrics.setEngineLoad(beat.engineId, beat.load, beat.counters);
      this.#frames.heard(beat);
      this.#chooser.heard(beat);
      this.#operations.heardEngine(beat.pause);
      if (beat.isMigrating) this.#migrateFrom(engineKey(beat.engineId, beat.engineEpoch), beat.fingerprint);
    } else this.#metrics.countRefused('stale_epoch');
  }

  #read<T>(decode: () => T): T | null {
    try {
      return decode();
    } catch (error) {
      this.#metrics.countRefused('unreadable');
      this.#options.log.warn({ error: String(error) }, 'refused a message that could not be read');
      return null;
    }
  }

  #engineLost(engine: EngineEntry, reason: string, cause: LossCause): void {
    this.#metrics.removeEngine(engine.id);
    const hit = [...this.#live.values()].filter((live) => live.assignment?.engine.key === engine.key);
    this.#chooser.lost(engine, hit.length > 0 && cause !== 'drained');
    if (hit.length > 0) this.#options.log.warn({ engine: engine.id, numRequests: hit.length }, `${reason}; its requests go on elsewhere`);
    const isDeath = cause !== 'silent' && cause !== 'drained'; // otherwise it may be the network's fault
    // Where one was on trial, the others are above suspicion.
    const suspect = isDeath ? engine.trial : null;
    for (const live of hit) live.lose(isDeath && (!suspect || this.#isOf(suspect, live)), reason);
    this.#operations.look();
  }

  #isOf({ frontendId, frontendEpoch, slot, attempt }: TrialMark, live: LiveRequest): boolean {
    const { frontendId: own, epoch } = this.#options;
    return frontendId === own && compareEpochs(frontendEpoch, epoch) === 0 && slot === live.slot && attempt === live.assignment?.attempt;
  }

  /** The last engine of its kind keeps what it has. */
  #migrateFrom(key: string, fingerprint: string): void {
    const isEqual = (engine: EngineEntry): boolean => engine.state === 'serving' && engine.fingerprint === fingerprint;
    if (![...this.#directory.engines()].some(isEqual)) return;
    const moving = [...this.#live.values()].filter((live) => live.wasAccepted && live.assignment?.engine.key === key);
    if (moving.length > 0) this.#options.log.info({ engine: key, numRequests: moving.length }, 'requests move to other engines');
    for (const live of moving) live.migrate('its engine is drained');
  }

  #ended(live: LiveRequest, outcome: Outcome): void {
    this.#live.delete(live.slot);
    this.#chooser.ended(live.slot);
    this.#metrics.observeRequest(live.observation(outcome));
    this.#operations.look();
    this.#resolveIfDrained();
  }

  *#engineRevisions(): Generator<{ readonly id: string; readonly revision: number }> {
    for (const { id, state, pauseRevision } of this.#directory.engines())
      if (state === 'serving' || state === 'draining') yield { id, revision: pauseRevision };
  }

  /** Engines hear of it at once, and whoever waits looks again. */
  #paused({ isPaused }: PauseState): void {
    this.#metrics.setPaused?.(isPaused);
    this.#beat();
    this.#directory.wake();
  }

  #resolveIfDrained(): void {
    if (this.#live.size === 0) for (const resolve of this.#drained.splice(0)) resolve();
  }

  #logThroughput(): { stop(): void } {
    const throughput = new ThroughputLog(this.#options.clock, this.#options.log);
    return repeat(this.#options.clock, THROUGHPUT_LOG_MS, () => throughput.report(this.#directory.engines()));
  }

  #tick(): void {
    this.#directory.tick();
    this.#operations.tick();
    this.#beat();
  }

  #beat(): void {
    this.#mail.beat({
      acks: this.#frames.acks,
      fenced: this.#directory.fenced ?? [],
      held: heldList(this.#live.values()),
      ...this.#operations.beatField,
    });
  }
}
