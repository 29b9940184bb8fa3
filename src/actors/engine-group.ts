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
import { type DeskStanding, EngineDesk } from './engine-desk.ts';
import type { GrammarOpener } from './grammar-admission.ts';
import type { Log } from './log.ts';
import { type RankInput, type RankReport, rankMachine } from './rank.ts';
import type { RankFacts, RankPort } from './rank-port.ts';
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

interface GroupInput {
  readonly rank: RankInput;
  readonly onLoading: (stage: string, fraction: number) => void;
}

interface GroupContext extends GroupInput {
  readonly facts: RankFacts | null;
  readonly failure: { readonly message: string; readonly isStartupError: boolean } | null;
}

type GroupEvent = RankReport | { readonly type: 'drain' } | { readonly type: 'quiet' } | { readonly type: 'stop' };

const groupMachine = setup({
  types: { context: {} as GroupContext, events: {} as GroupEvent, input: {} as GroupInput },
  actors: { rank: rankMachine },
  actions: {
    noteFacts: assign(({ context, event }) => (event.type === 'rank.ready' ? { facts: event.facts } : context)),
    noteFailure: assign(({ context, event }) =>
      event.type === 'rank.failed' ? { failure: { message: event.message, isStartupError: event.isStartupError } } : context,
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
  const desk = new EngineDesk({
    engineId,
    epoch: options.epoch,
    transport,
    clock,
    log,
    maxNumSeqs: options.maxNumSeqs,
    beatMs,
    silenceMs: options.frontendSilenceMs ?? 5000,
    postToRank: (message) => port.post(message),
    grammars: options.grammars,
    onQuieter: () => tellWhenQuiet(),
    onDrainRequest: () => group.send({ type: 'drain' }),
  });
  const group = createActor(groupMachine, {
    clock,
    input: { rank: { port, onTurn: (turn) => desk.deliver(turn) }, onLoading: options.onLoading ?? (() => {}) },
  });
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

/** A stopping group looks to frontends as it does to operators: failed, so that what ran on it continues elsewhere at once. */
function standingOf(state: GroupState, context: GroupContext): DeskStanding {
  const isEnding = state === 'stopping' || state === 'stopped';
  return {
    state: isEnding ? 'failed' : (state satisfies EngineState),
    fingerprint: context.facts?.fingerprint ?? '',
    reason: context.failure?.message ?? (isEnding ? 'The engine was stopped.' : null),
    numBlocks: context.facts?.numBlocks ?? 0,
    blockSize: context.facts?.blockSize ?? null,
  };
}

const toError = (failure: { readonly message: string; readonly isStartupError: boolean }): Error =>
  failure.isStartupError ? new StartupError(failure.message) : new Error(failure.message);

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
