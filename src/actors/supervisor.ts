/**
 * Starts the server's processes, watches them, starts them again, and ends them in order. It never relays a token.
 *
 *   idle      nothing was started
 *   starting  processes run; some were never ready yet
 *   running   every child was ready once. A child that dies is started again, with the others that the strategy names
 *   draining  asked to shut down: stage by stage, last started first, children finish what runs and end. Those whose turn has not come
 *             are still restarted, since streams that drain need them
 *   failing   a child died more often than its budget allows: the others are told why and get a grace period
 *   stopping  stage by stage, children end without finishing anything; nothing is restarted
 *   killing   every process got SIGKILL
 *   ended     no process is left (final); the exit code is 0, what the failure says, or 128 + the number of a repeated signal
 *
 * `retire` while starting or running drains some children for good; when no other is left, the supervisor has ended.
 * `shutdown` while running drains; while starting too, unless nothing can have been served yet: then everything stops at once. While
 * draining it kills; while failing or stopping it hurries to the next of these.
 * An error inside the machine kills every process and ends with exit code 1.
 */
import { type ActorRefFrom, assign, createActor, enqueueActions, setup } from 'xstate';
import type { Clock, RandomSource } from '../core/clock.ts';
import type { ExitFacts, SpawnChild } from './child-process.ts';
import type { ChildStatus, ToChild } from './process-messages.ts';
import type { RestartPolicy, RestartStrategy } from './restart-policy.ts';
import { type ChildReport, type ChildSpec, childMachine } from './supervised-child.ts';
import {
  afterExit,
  askStage,
  cancelStarts,
  dropStage,
  hasServedNothing,
  isEveryChildDown,
  isEveryChildRetired,
  isStageDown,
  killAll,
  noteExit,
  noteReady,
  noteStarted,
  type Plan,
  planOf,
  type Reaction,
  retire,
  startAll,
  statusOf,
  wasEveryChildReady,
} from './supervisor-plan.ts';

export type { ChildSpec } from './supervised-child.ts';

export type ShutdownSignal = 'SIGINT' | 'SIGTERM';
const SIGNAL_NUMBERS: Readonly<Record<ShutdownSignal, number>> = { SIGINT: 2, SIGTERM: 15 };

export interface SupervisorOptions {
  /** In start order. All are started at once; they find each other on their own. */
  readonly children: readonly ChildSpec[];
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly spawn: SpawnChild;
  /** one-for-one. */
  readonly strategy?: RestartStrategy;
  /** Budget and backoff per child, where they differ from DEFAULT_RESTART_POLICY. */
  readonly restarts?: Partial<RestartPolicy>;
  /** How long running work may take to finish in a shutdown; null = no limit. */
  readonly drainGraceMs: number | null;
  /** From the spent budget to the end, so that clients and probes can read the reason: 5 s. */
  readonly failureGraceMs?: number;
  readonly onEvent?: (event: SupervisorEvent) => void;
}

/** For the log. */
export type SupervisorEvent =
  | Exclude<ChildReport, { readonly type: 'child.exited' }>
  | {
      readonly type: 'child.exited';
      readonly name: string;
      readonly pid: number | null;
      readonly exit: ExitFacts;
      readonly isExpected: boolean;
      /** What it said before it ended. */
      readonly failure: { readonly exitCode: number; readonly message: string } | null;
    }
  | { readonly type: 'child.restarting'; readonly name: string; readonly inMs: number; readonly numRestarts: number }
  | { readonly type: 'budgetSpent'; readonly name: string; readonly reason: string }
  | { readonly type: 'draining' | 'stopping' | 'killing' }
  /** `message` is null after an orderly end. */
  | { readonly type: 'ended'; readonly exitCode: number; readonly message: string | null };

export interface Supervisor {
  /** Resolves when every child was ready once, or the supervisor ended before that: see `exited`. Never rejects. */
  start(): Promise<void>;
  /** The first call drains and ends in order, the second kills. */
  shutdown(signal: ShutdownSignal): void;
  /** These children finish what they do and are not started again; the supervisor ends when that was all of them. */
  retire(names: readonly string[]): void;
  /** The exit code that this process should end with. Never rejects. */
  readonly exited: Promise<number>;
  status(): readonly ChildStatus[];
}

type ChildRef = ActorRefFrom<typeof childMachine>;

interface SupervisorContext {
  readonly options: SupervisorOptions;
  readonly children: ReadonlyMap<string, ChildRef>;
  readonly plan: Plan;
  readonly exitCode: number;
  readonly message: string | null;
}

type Event =
  | ChildReport
  | { readonly type: 'start' }
  | { readonly type: 'shutdown'; readonly signal: ShutdownSignal }
  | { readonly type: 'retire'; readonly names: readonly string[] }
  /** Raised by the machine itself while it handles an exit. */
  | { readonly type: 'gaveUp'; readonly exitCode: number; readonly message: string; readonly isGraceful: boolean };

const supervisorMachine = setup({
  types: {
    context: {} as SupervisorContext,
    events: {} as Event,
    input: {} as SupervisorOptions,
    output: {} as { readonly exitCode: number; readonly message: string | null },
  },
  actors: { child: childMachine },
  actions: {
    /** A step of the plan: noted, then sent to the children. */
    carryOut: enqueueActions(({ context, enqueue }, { plan, orders }: Reaction) => {
      enqueue.assign({ plan });
      enqueue(() => sendOrders(context, orders));
    }),
    retire: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== 'retire') return;
      const { plan, orders } = retire(context.plan, event.names, context.options.drainGraceMs);
      enqueue.assign({ plan });
      enqueue(() => sendOrders(context, orders));
    }),
    dropStage: assign({ plan: ({ context }) => dropStage(context.plan) }),
    restartOrGiveUp: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== 'child.exited') return;
      tellExit(context, event);
      const { clock, random, onEvent } = context.options;
      const { plan, orders, verdict } = afterExit(context.plan, event, clock.monotonic(), random);
      enqueue.assign({ plan });
      switch (verdict.type) {
        case 'none':
          break;
        case 'restart':
          onEvent?.({ type: 'child.restarting', name: verdict.name, inMs: verdict.inMs, numRestarts: verdict.numRestarts });
          break;
        case 'spent':
          onEvent?.({ type: 'budgetSpent', name: verdict.name, reason: verdict.reason });
          enqueue.raise({ type: 'gaveUp', exitCode: 1, message: verdict.reason, isGraceful: true });
          break;
        case 'unstartable':
          enqueue.raise({ type: 'gaveUp', exitCode: verdict.exitCode, message: verdict.message, isGraceful: false });
          break;
        default:
          verdict satisfies never;
      }
      enqueue(() => sendOrders(context, orders));
    }),
    noteExit: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== 'child.exited') return;
      tellExit(context, event);
      enqueue.assign({ plan: noteExit(context.plan, event.name) });
    }),
    noteStarted: assign({
      plan: ({ context, event }) => (event.type === 'child.started' ? noteStarted(context.plan, event) : context.plan),
    }),
    noteReady: assign({
      plan: ({ context, event }) =>
        event.type === 'child.ready' ? noteReady(context.plan, event.name, context.options.clock.monotonic()) : context.plan,
    }),
    noteEnd: assign(({ event }) => (event.type === 'gaveUp' ? { exitCode: event.exitCode, message: event.message } : {})),
    noteSecondSignal: assign({
      exitCode: ({ context, event }) =>
        event.type === 'shutdown' && context.exitCode === 0 ? 128 + SIGNAL_NUMBERS[event.signal] : context.exitCode,
    }),
    tellServerFailed: ({ context }) => tellRunning(context, { type: 'serverFailed', reason: context.message ?? '' }),
    log: ({ context, event }) => {
      if (event.type.startsWith('child.')) context.options.onEvent?.(event as SupervisorEvent);
    },
    logPhase: ({ context }, type: 'draining' | 'stopping' | 'killing') => {
      context.options.onEvent?.({ type });
    },
  },
  guards: {
    wasEveryChildReady: ({ context }) => wasEveryChildReady(context.plan),
    isEveryChildDown: ({ context }) => isEveryChildDown(context.plan),
    isEveryChildRetired: ({ context }) => isEveryChildRetired(context.plan),
    hasServedNothing: ({ context }) => hasServedNothing(context.plan),
    isStageDown: ({ context }) => isStageDown(context.plan),
    isGraceful: ({ event }) => event.type === 'gaveUp' && event.isGraceful,
  },
  delays: { failureGrace: ({ context }) => context.options.failureGraceMs ?? 5000 },
}).createMachine({
  id: 'supervisor',
  context: ({ input, spawn }) => ({
    options: input,
    children: new Map(input.children.map((spec) => [spec.name, spawn('child', { input: { spec, spawn: input.spawn } })])),
    plan: planOf(input.children, input.strategy ?? 'one-for-one', input.restarts ?? {}),
    exitCode: 0,
    message: null,
  }),
  output: ({ context }) => ({ exitCode: context.exitCode, message: context.message }),
  initial: 'idle',
  on: {
    'child.started': { actions: ['noteStarted', 'log'] },
    'child.loading': { actions: 'log' },
    'child.ready': { actions: ['noteReady', 'log'] },
    'child.drained': { actions: 'log' },
    'child.exited': { actions: 'noteExit' },
  },
  states: {
    idle: { on: { start: 'starting', shutdown: 'ended' } },
    starting: {
      entry: { type: 'carryOut', params: ({ context }) => startAll(context.plan) },
      always: [
        { guard: 'isEveryChildRetired', target: 'ended' },
        { guard: 'wasEveryChildReady', target: 'running' },
      ],
      on: {
        retire: { actions: 'retire' },
        'child.exited': { actions: 'restartOrGiveUp' },
        gaveUp: [
          { guard: 'isGraceful', target: 'failing', actions: 'noteEnd' },
          { target: 'stopping', actions: 'noteEnd' },
        ],
        shutdown: [{ guard: 'hasServedNothing', target: 'stopping' }, { target: 'draining' }],
      },
    },
    running: {
      always: { guard: 'isEveryChildRetired', target: 'ended' },
      on: {
        retire: { actions: 'retire' },
        'child.exited': { actions: 'restartOrGiveUp' },
        gaveUp: { target: 'failing', actions: 'noteEnd' },
        shutdown: 'draining',
      },
    },
    draining: {
      entry: [
        { type: 'logPhase', params: 'draining' },
        { type: 'carryOut', params: ({ context }) => askStage(context.plan, 'drain', context.options.drainGraceMs) },
      ],
      always: [
        { guard: 'isEveryChildDown', target: 'ended' },
        {
          guard: 'isStageDown',
          actions: [
            'dropStage',
            { type: 'carryOut', params: ({ context }) => askStage(context.plan, 'drain', context.options.drainGraceMs) },
          ],
        },
      ],
      on: {
        'child.exited': { actions: 'restartOrGiveUp' },
        gaveUp: { target: 'stopping', actions: 'noteEnd' },
        shutdown: { target: 'killing', actions: 'noteSecondSignal' },
      },
    },
    failing: {
      entry: [{ type: 'carryOut', params: ({ context }) => cancelStarts(context.plan) }, 'tellServerFailed'],
      always: { guard: 'isEveryChildDown', target: 'ended' },
      after: { failureGrace: 'stopping' },
      on: { 'child.ready': { actions: ['noteReady', 'log', 'tellServerFailed'] }, shutdown: 'stopping' },
    },
    stopping: {
      entry: [
        { type: 'logPhase', params: 'stopping' },
        { type: 'carryOut', params: ({ context }) => cancelStarts(context.plan) },
        { type: 'carryOut', params: ({ context }) => askStage(context.plan, 'stop', null) },
      ],
      always: [
        { guard: 'isEveryChildDown', target: 'ended' },
        {
          guard: 'isStageDown',
          actions: ['dropStage', { type: 'carryOut', params: ({ context }) => askStage(context.plan, 'stop', null) }],
        },
      ],
      on: { shutdown: { target: 'killing', actions: 'noteSecondSignal' } },
    },
    killing: {
      entry: [
        { type: 'logPhase', params: 'killing' },
        { type: 'carryOut', params: ({ context }) => killAll(context.plan) },
      ],
      always: { guard: 'isEveryChildDown', target: 'ended' },
    },
    ended: { type: 'final' },
  },
});

function sendOrders({ children }: SupervisorContext, orders: Reaction['orders']): void {
  for (const { name, command } of orders) children.get(name)?.send(command);
}

function tellRunning({ children, plan }: SupervisorContext, message: ToChild): void {
  for (const { spec, state } of plan.records.values())
    if (state === 'running' || state === 'stopping') children.get(spec.name)?.send({ type: 'tell', message });
}

function tellExit({ options, plan }: SupervisorContext, report: Extract<ChildReport, { type: 'child.exited' }>): void {
  options.onEvent?.({ ...report, pid: plan.records.get(report.name)?.pid ?? null });
}

/** Makes a supervisor; nothing runs before `start`. */
export function createSupervisor(options: SupervisorOptions): Supervisor {
  const actor = createActor(supervisorMachine, { clock: options.clock, input: options });
  let onStarted!: () => void;
  let onExited!: (exitCode: number) => void;
  const started = new Promise<void>((resolve) => {
    onStarted = resolve;
  });
  const exited = new Promise<number>((resolve) => {
    onExited = resolve;
  });
  const end = (exitCode: number, message: string | null): void => {
    onStarted();
    onExited(exitCode);
    options.onEvent?.({ type: 'ended', exitCode, message });
  };
  actor.subscribe({
    next: (snapshot) => {
      if (snapshot.matches('running')) onStarted();
    },
    complete: () => {
      const { exitCode, message } = actor.getSnapshot().context;
      end(exitCode, message);
    },
    error: (error) => {
      for (const child of actor.getSnapshot().context.children.values()) child.send({ type: 'kill' });
      end(1, `The supervisor failed: ${error instanceof Error ? error.message : String(error)}`);
    },
  });
  actor.start();
  return {
    start: () => {
      actor.send({ type: 'start' });
      return started;
    },
    shutdown: (signal) => actor.send({ type: 'shutdown', signal }),
    retire: (names) => actor.send({ type: 'retire', names }),
    exited,
    status: () => statusOf(actor.getSnapshot().context.plan),
  };
}
