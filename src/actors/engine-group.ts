/**
 * One replica of the model: a main thread that only does I/O, and its rank.
 *
 *   starting  the rank's thread is being created
 *   loading   the rank reads the model; adds are refused with `loading`
 *   serving   adds go to the rank, which decides
 *   draining  adds are refused; what runs finishes, frames are kept and sent again until acknowledged
 *   drained   nothing left to give
 *   stopping  the rank was asked to end; what still runs is lost to this group and continues elsewhere
 *   stopped   (final)
 *   failed    the rank ended by itself: the whole group ends with it, and its successor has a later epoch (final)
 *
 * `drain` and `stop` are protocols, not method calls on a machine: frontends see each change at once in a beat.
 */
import { assign, createActor, sendTo, setup } from 'xstate';
import type { Clock } from '../core/clock.ts';
import { StartupError } from '../core/errors.ts';
import type { Epoch } from '../core/ids.ts';
import type { EngineState } from '../transport/messages.ts';
import type { Transport } from '../transport/transport.ts';
import type { DeskLegacy, DeskStanding } from './desk-standing.ts';
import { EngineDesk } from './engine-desk.ts';
import { EpochGuard } from './epoch-guard.ts';
import type { GrammarOpener } from './grammar-admission.ts';
import type { Log } from './log.ts';
import { type RankInput, type RankReport, rankMachine } from './rank.ts';
import type { RankFacts, RankPort, Turn } from './rank-port.ts';
import { RankProgress } from './rank-progress.ts';
import { repeat } from './repeat.ts';

export interface EngineGroupOptions {
  /** Its place in the cluster, e.g. `engine-0`; kept by its successors. */
  readonly engineId: string;
  /** This start of it. */
  readonly epoch: Epoch;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Log;
  readonly maxNumSeqs: number;
  readonly spawnRank: () => RankPort;
  /** Compiles constraints for the rank; closed with the group. Absent = constrained requests are refused. */
  readonly grammars?: GrammarOpener & { close(): void };
  readonly onLoading?: (stage: string, fraction: number) => void;
  /** 250 ms. */
  readonly beatMs?: number;
  /** Of its next start under the same rank, when frontends gave this one up; one later unless given: never later than a successor. */
  readonly newEpoch?: () => Epoch;
  /** Silence after which a frontend is gone: 5 s. */
  readonly frontendSilenceMs?: number;
}

export type GroupState = 'starting' | 'loading' | 'serving' | 'draining' | 'drained' | 'stopping' | 'stopped' | 'failed';

export interface EngineGroup {
  /** Resolves when the group serves. @throws StartupError (bad model), Error: the rank failed or the group was stopped first. */
  readonly ready: Promise<RankFacts>;
  /** Resolves when the group has ended; `error` null after `stop`. Never rejects. */
  readonly ended: Promise<{ readonly error: Error | null }>;
  readonly state: GroupState;
  /** Nothing runs or waits, and every frame is acknowledged. */
  readonly isQuiet: boolean;
  onState(handler: (state: GroupState) => void): void;
  /**
   * Refuses new requests; resolves when all are finished and every frame is acknowledged, or the group ended. What still runs after
   * `migrateAfterMs` is moved to equal engines, where there are any; null = never.
   */
  drain(options?: { readonly migrateAfterMs: number | null }): Promise<void>;
  /** Ends the rank and resolves when it is gone. What still runs continues elsewhere. */
  stop(): Promise<void>;
}

/** A rank that only stood still with its process has ended a turn by then. */
const STUCK_CHECK_MS = 500;

interface GroupInput {
  readonly rank: RankInput;
  readonly onLoading: (stage: string, fraction: number) => void;
}

interface GroupContext extends GroupInput {
  readonly facts: RankFacts | null;
  readonly failure: { readonly message: string; readonly isStartupError: boolean; readonly isSuperseded?: boolean } | null;
}

type GroupEvent =
  | RankReport
  | { readonly type: 'superseded'; readonly message: string }
  | { readonly type: 'drain' }
  | { readonly type: 'quiet' }
  | { readonly type: 'stop' };

const groupMachine = setup({
  types: { context: {} as GroupContext, events: {} as GroupEvent, input: {} as GroupInput },
  actors: { rank: rankMachine },
  actions: {
    noteFacts: assign(({ context, event }) => (event.type === 'rank.ready' ? { facts: event.facts } : context)),
    noteFailure: assign(({ context, event }) =>
      event.type === 'rank.failed' ? { failure: { message: event.message, isStartupError: event.isStartupError } } : context,
    ),
    noteSuperseded: assign(({ context, event }) =>
      event.type === 'superseded' ? { failure: { message: event.message, isStartupError: true, isSuperseded: true } } : context,
    ),
    tellProgress: ({ context, event }) => {
      if (event.type === 'rank.loading') context.onLoading(event.stage, event.fraction);
    },
    stopRank: sendTo('rank', { type: 'stop' }),
  },
}).createMachine({
  id: 'engineGroup',
  context: ({ input }) => ({ ...input, facts: null, failure: null }),
  invoke: {
    id: 'rank',
    src: 'rank',
    input: ({ context }) => context.rank,
    onError: {
      target: '.failed',
      actions: assign({ failure: ({ event }) => ({ message: String(event.error), isStartupError: false }) }),
    },
  },
  initial: 'starting',
  on: {
    stop: '.stopping',
    'rank.failed': { target: '.failed', actions: 'noteFailure' },
    superseded: { target: '.failed', actions: 'noteSuperseded' },
  },
  states: {
    starting: {
      on: {
        'rank.loading': { target: 'loading', actions: 'tellProgress' },
        'rank.ready': { target: 'serving', actions: 'noteFacts' },
        drain: 'drained',
      },
    },
    loading: {
      on: { 'rank.loading': { actions: 'tellProgress' }, 'rank.ready': { target: 'serving', actions: 'noteFacts' }, drain: 'drained' },
    },
    serving: { on: { drain: 'draining' } },
    draining: { on: { quiet: 'drained' } },
    drained: {},
    stopping: { entry: 'stopRank', on: { stop: {}, 'rank.stopped': 'stopped' } },
    stopped: { type: 'final' },
    failed: { type: 'final' },
  },
});

/** Starts the group's rank; it answers the transport from the first moment on. */
export function startEngineGroup(options: EngineGroupOptions): EngineGroup {
  const { clock, log, transport, engineId } = options;
  const beatMs = options.beatMs ?? 250;
  const port = options.spawnRank();
  const handlers: ((state: GroupState) => void)[] = [];
  const rank = new RankProgress(port);
  let epoch = options.epoch;
  const newDesk = (predecessor?: DeskLegacy): EngineDesk =>
    new EngineDesk({
      engineId,
      epoch,
      predecessor,
      transport,
      clock,
      log,
      maxNumSeqs: options.maxNumSeqs,
      beatMs,
      silenceMs: options.frontendSilenceMs ?? 5000,
      postToRank: (message) => rank.post(message),
      isRankBusy: () => rank.isBusy,
      grammars: options.grammars,
      onQuieter: () => tellWhenQuiet(),
      onDrainRequest: () => group.send({ type: 'drain' }),
    });
  let desk = newDesk();
  const guard = new EpochGuard({
    engineId,
    epoch: () => epoch,
    transport,
    onSuperseded: (by, peerId) => group.send({ type: 'superseded', message: supersededBy(engineId, by, peerId) }),
    onFenced: (frontendId) => fenced(frontendId),
  });
  const group = createActor(groupMachine, {
    clock,
    input: { rank: { port, onTurn: (turn) => takeTurn(turn) }, onLoading: options.onLoading ?? (() => {}) },
  });
  const takeTurn = (turn: Turn): void => {
    rank.note(turn);
    desk.deliver(turn);
  };
  /** The rank and its model live on; what ran for anybody goes on elsewhere, or here again under the new epoch. */
  const rejoin = (frontendId: string): void => {
    if (state !== 'serving' && state !== 'draining') return;
    epoch = options.newEpoch?.() ?? [epoch[0] + 1, epoch[1]];
    log.warn({ engine: engineId, frontend: frontendId, epoch }, 'a frontend gave this engine up: it goes on under a new epoch');
    desk = newDesk(desk.retire());
    desk.setStanding(standingOf(state, group.getSnapshot().context));
  };
  /** One that stood still goes on at once; a rank that is stuck does not, and takes the group with it. */
  const fenced = (frontendId: string): void => {
    if (fencedAt !== null) return;
    const { numTurns } = rank;
    fencedAt = clock.setTimeout(() => {
      fencedAt = null;
      if (!rank.isBusy || rank.numTurns > numTurns) rejoin(frontendId);
      else group.send({ type: 'rank.failed', message: `The rank is stuck in the step after step ${desk.stepId}.`, isStartupError: false });
    }, STUCK_CHECK_MS);
  };
  let fencedAt: unknown = null;
  const beats = repeat(clock, beatMs, () => {
    desk.tick();
    tellWhenQuiet();
  });
  const tellWhenQuiet = (): void => {
    if (state === 'draining' && desk.isQuiet) group.send({ type: 'quiet' });
  };

  let state: GroupState = 'starting';
  const whenReady = deferred<RankFacts>();
  const whenEnded = deferred<{ readonly error: Error | null }>();
  whenReady.promise.catch(() => {}); // whoever awaits it gets the rejection; nobody has to

  const enter = (next: GroupState, context: GroupContext): void => {
    if (next === state && next !== 'starting') return;
    state = next;
    log.debug({ engine: engineId, state }, 'engine group');
    desk.setStanding(standingOf(state, context));
    for (const handler of handlers) handler(state);
    if (state === 'serving' && context.facts) whenReady.resolve(context.facts);
    if (state === 'draining') tellWhenQuiet();
    if (state === 'stopped' || state === 'failed') end(context);
  };
  const end = (context: GroupContext): void => {
    beats.stop();
    guard.close();
    clock.clearTimeout(fencedAt);
    desk.close();
    options.grammars?.close();
    const error = context.failure ? toError(context.failure) : null;
    whenReady.reject(error ?? new Error('The engine group was stopped before it served.'));
    whenEnded.resolve({ error });
  };
  group.subscribe({
    next: (snapshot) => enter(snapshot.value as GroupState, snapshot.context),
    error: (error) => enter('failed', { ...group.getSnapshot().context, failure: { message: String(error), isStartupError: false } }),
  });
  group.start();

  const isOver = (): boolean => state === 'drained' || state === 'stopped' || state === 'failed';
  return {
    ready: whenReady.promise,
    ended: whenEnded.promise,
    get state() {
      return state;
    },
    get isQuiet() {
      return desk.isQuiet;
    },
    onState: (handler) => void handlers.push(handler),
    drain: ({ migrateAfterMs } = { migrateAfterMs: null }) =>
      new Promise((resolve) => {
        if (isOver()) return resolve();
        const timer = migrateAfterMs === null ? null : options.clock.setTimeout(() => desk.migrate(), migrateAfterMs);
        handlers.push(() => {
          if (!isOver()) return;
          options.clock.clearTimeout(timer);
          resolve();
        });
        group.send({ type: 'drain' });
      }),
    stop: async () => {
      group.send({ type: 'stop' });
      await whenEnded.promise;
    },
  };
}

/** To frontends a stopping group is drained: what ran on it continues elsewhere at once, and no death is counted against anybody. */
function standingOf(state: GroupState, context: GroupContext): DeskStanding {
  const isEnding = state === 'stopping' || state === 'stopped';
  return {
    state: isEnding ? 'drained' : (state satisfies EngineState),
    fingerprint: context.facts?.fingerprint ?? '',
    reason: context.failure?.message ?? (isEnding ? 'The engine was stopped.' : null),
    numBlocks: context.facts?.numBlocks ?? 0,
    blockSize: context.facts?.blockSize ?? null,
  };
}

const supersededBy = (engineId: string, [incarnation, nonce]: Epoch, peerId: string): string =>
  `Engine ${engineId} was started again (epoch ${incarnation}-${nonce}, ${peerId}): this older start ends. Each engine needs an id of its own.`;

/** The engine's name was taken by a later start of it elsewhere. */
export class SupersededError extends StartupError {}

function toError({ message, isStartupError, isSuperseded = false }: NonNullable<GroupContext['failure']>): Error {
  if (isSuperseded) return new SupersededError(message);
  return isStartupError ? new StartupError(message) : new Error(message);
}

interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: Error): void;
}

function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
