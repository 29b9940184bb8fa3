/**
 * The life of one supervised process, over all its restarts.
 *
 *   down      there is no process; the supervisor decides whether and when there is one again
 *   waiting   the next start is due after its delay
 *   alive     there is a process:
 *     starting   it has not said that it is ready
 *     running    it does its work
 *     draining   it was asked to finish what runs; past its grace it is stopped all the same
 *     stopping   it was asked to end, or said that it cannot go on; killed after a deadline
 *     killing    SIGKILL was sent, nothing left but the exit
 *
 * A process that closes its channel no longer obeys and is killed. `down` is entered by the exit only, so a successor never starts beside
 * a process that is stuck. `stop`, `drain` and `kill` while waiting cancel the start.
 */
import { assign, cancel, enqueueActions, fromCallback, sendParent, sendTo, setup } from 'xstate';
import type { ChildProcessPort, ExitFacts, LaunchOptions, SpawnChild } from './child-process.ts';
import type { FromChild, ToChild } from './process-messages.ts';
import type { RestartPolicy } from './restart-policy.ts';

export interface ChildSpec {
  /** Unique, e.g. `engine-0`. */
  readonly name: string;
  /** Children of one role that follow each other are stopped together. */
  readonly role: string;
  /** What to run; `startNumber` counts from 1. */
  readonly launch: (startNumber: number) => LaunchOptions;
  /** Whether it is asked to finish what runs before it is stopped in an orderly shutdown. */
  readonly isDrained?: boolean;
  /** From `stop` to SIGKILL: 10 s; at most 1 s for a process that is not ready yet. */
  readonly stopDeadlineMs?: number;
  /** Where it differs from the supervisor's. */
  readonly restarts?: Partial<RestartPolicy>;
}

/** A process that was told to finish within its grace gets this much more before it is stopped. */
const DRAIN_MARGIN_MS = 1000;
const DEFAULT_STOP_DEADLINE_MS = 10_000;
/** A process that was never ready has nothing to bring to an end, and may be deep in loading a model. */
const UNREADY_STOP_DEADLINE_MS = 1000;

export type ChildCommand =
  | { readonly type: 'start'; readonly delayMs: number }
  | { readonly type: 'drain'; readonly graceMs: number | null }
  | { readonly type: 'stop' }
  | { readonly type: 'kill' }
  /** Passed on to the process, if there is one. */
  | { readonly type: 'tell'; readonly message: ToChild };

/** What a child tells its supervisor. */
export type ChildReport =
  | { readonly type: 'child.started'; readonly name: string; readonly pid: number | null; readonly startNumber: number }
  | { readonly type: 'child.loading'; readonly name: string; readonly stage: string; readonly fraction: number }
  | { readonly type: 'child.ready'; readonly name: string; readonly role: string; readonly facts: Readonly<Record<string, unknown>> }
  | { readonly type: 'child.drained'; readonly name: string }
  | {
      readonly type: 'child.exited';
      readonly name: string;
      readonly exit: ExitFacts;
      /** It ended because the supervisor wanted it to. */
      readonly isExpected: boolean;
      /** What it said before it ended. */
      readonly failure: { readonly exitCode: number; readonly message: string } | null;
    };

type ProcessEvent =
  | { readonly type: 'process.spawned'; readonly pid: number | null }
  | { readonly type: 'process.message'; readonly message: FromChild }
  | { readonly type: 'process.disconnected' }
  | { readonly type: 'process.exited'; readonly exit: ExitFacts };

interface ChildContext {
  readonly spec: ChildSpec;
  readonly spawn: SpawnChild;
  readonly startNumber: number;
  readonly delayMs: number;
  readonly graceMs: number | null;
  /** This process, since its start. */
  readonly isReady: boolean;
  readonly isExpected: boolean;
  readonly failure: { readonly exitCode: number; readonly message: string } | null;
}

type ToProcess = { readonly type: 'send'; readonly message: ToChild } | { readonly type: 'kill' };

/** The process itself. Leaving `alive` in any other way than by its exit kills it. */
const processLogic = fromCallback<ToProcess, Pick<ChildContext, 'spec' | 'spawn' | 'startNumber'>>(({ input, sendBack, receive }) => {
  let child: ChildProcessPort;
  let isOver = false;
  const send = (event: ProcessEvent): void => sendBack(event);
  try {
    child = input.spawn(input.spec.launch(input.startNumber));
  } catch (error) {
    send({ type: 'process.exited', exit: { code: null, signal: null, reason: error instanceof Error ? error.message : String(error) } });
    return;
  }
  child.onMessage((message) => send({ type: 'process.message', message }));
  child.onDisconnect(() => send({ type: 'process.disconnected' }));
  child.onExit((exit) => {
    isOver = true;
    send({ type: 'process.exited', exit });
  });
  receive((event) => {
    if (event.type === 'send') child.send(event.message);
    else child.kill();
  });
  send({ type: 'process.spawned', pid: child.pid });
  return () => {
    if (!isOver) child.kill();
  };
});

export const childMachine = setup({
  types: {
    context: {} as ChildContext,
    events: {} as ChildCommand | ProcessEvent,
    input: {} as { readonly spec: ChildSpec; readonly spawn: SpawnChild },
  },
  actors: { process: processLogic },
  actions: {
    noteStart: assign({ startNumber: ({ context }) => context.startNumber + 1, isReady: false, isExpected: false, failure: null }),
    noteDelay: assign({ delayMs: ({ context, event }) => (event.type === 'start' ? event.delayMs : context.delayMs) }),
    noteReady: assign({ isReady: true }),
    noteExpected: assign({ isExpected: true }),
    noteGrace: assign({ isExpected: true, graceMs: ({ event }) => (event.type === 'drain' ? event.graceMs : null) }),
    noteFailure: assign({
      failure: ({ context, event }) =>
        event.type === 'process.message' && event.message.type === 'failed'
          ? { exitCode: event.message.exitCode, message: event.message.message }
          : context.failure,
    }),
    sendDrain: sendTo('process', ({ context }) => ({ type: 'send', message: { type: 'drain', graceMs: context.graceMs } })),
    sendStop: sendTo('process', { type: 'send', message: { type: 'stop' } }),
    sendKill: sendTo('process', { type: 'kill' }),
    armDrainDeadline: enqueueActions(({ context, enqueue }) => {
      if (context.graceMs === null) return;
      enqueue.raise({ type: 'stop' }, { id: 'drainDeadline', delay: context.graceMs + DRAIN_MARGIN_MS });
    }),
    report: sendParent(({ context, event }) => reportOf(context, event)),
  },
  guards: {
    says: ({ event }, type: FromChild['type']) => event.type === 'process.message' && event.message.type === type,
  },
  delays: {
    restartDelay: ({ context }) => context.delayMs,
    stopDeadline: ({ context }) => {
      const deadlineMs = context.spec.stopDeadlineMs ?? DEFAULT_STOP_DEADLINE_MS;
      return context.isReady ? deadlineMs : Math.min(deadlineMs, UNREADY_STOP_DEADLINE_MS);
    },
  },
}).createMachine({
  id: 'child',
  context: ({ input }) => ({ ...input, startNumber: 0, delayMs: 0, graceMs: null, isReady: false, isExpected: false, failure: null }),
  initial: 'down',
  states: {
    down: { on: { start: { target: 'waiting', actions: 'noteDelay' } } },
    waiting: {
      after: { restartDelay: { target: 'alive', actions: 'noteStart' } },
      on: { stop: 'down', drain: 'down', kill: 'down' },
    },
    alive: {
      invoke: {
        id: 'process',
        src: 'process',
        input: ({ context }) => context,
        // The callback above turns its own failures into exits, so this is a defect of a port: no process is left by then.
        onError: {
          target: 'down',
          actions: [
            sendParent(({ context, event }) => ({
              type: 'child.exited',
              name: context.spec.name,
              exit: { code: null, signal: null, reason: String(event.error) },
              isExpected: context.isExpected,
              failure: null,
            })),
          ],
        },
      },
      initial: 'starting',
      on: {
        'process.spawned': { actions: 'report' },
        'process.exited': { target: 'down', actions: 'report' },
        'process.disconnected': '.killing',
        'process.message': [
          { guard: { type: 'says', params: 'failed' }, target: '.stopping', actions: 'noteFailure' },
          { guard: { type: 'says', params: 'loading' }, actions: 'report' },
        ],
        tell: { actions: sendTo('process', ({ event }) => ({ type: 'send', message: event.message })) },
        drain: { target: '.draining', actions: 'noteGrace' },
        stop: { target: '.stopping', actions: 'noteExpected' },
        kill: { target: '.killing', actions: 'noteExpected' },
      },
      states: {
        starting: {
          on: { 'process.message': { guard: { type: 'says', params: 'ready' }, target: 'running', actions: ['noteReady', 'report'] } },
        },
        running: {},
        draining: {
          entry: ['sendDrain', 'armDrainDeadline'],
          exit: cancel('drainDeadline'),
          on: {
            drain: {},
            'process.message': { guard: { type: 'says', params: 'drained' }, target: 'stopping', actions: 'report' },
          },
        },
        stopping: {
          entry: 'sendStop',
          after: { stopDeadline: 'killing' },
          on: { drain: {}, stop: { actions: 'noteExpected' }, 'process.message': { actions: 'noteFailure' } },
        },
        killing: {
          entry: 'sendKill',
          on: {
            drain: {},
            stop: { actions: 'noteExpected' },
            kill: { actions: 'noteExpected' },
            'process.disconnected': {},
            'process.message': { actions: 'noteFailure' },
          },
        },
      },
    },
  },
});

function reportOf(context: ChildContext, event: ChildCommand | ProcessEvent): ChildReport {
  const { name, role } = context.spec;
  switch (event.type) {
    case 'process.spawned':
      return { type: 'child.started', name, pid: event.pid, startNumber: context.startNumber };
    case 'process.exited':
      return { type: 'child.exited', name, exit: event.exit, isExpected: context.isExpected, failure: context.failure };
    case 'process.message':
      if (event.message.type === 'loading') return { ...event.message, type: 'child.loading', name };
      if (event.message.type === 'ready') return { type: 'child.ready', name, role, facts: event.message.facts };
      if (event.message.type === 'drained') return { type: 'child.drained', name };
  }
  throw new Error(`Invariant broken: nothing to report about ${event.type}`);
}
