/**
 * The life of one rank: a thread that computes.
 *
 *   starting  the thread is being created
 *   loading   it reads the model; progress goes to the group
 *   serving   it steps; turns go past this machine, straight to the group
 *   stopping  asked to stop, or being terminated; waits for the thread's end
 *   stopped   ended because it was asked to (final)
 *   failed    ended or reported an error by itself: the group fails with it, one for all (final)
 *
 * `stop` in any state ends the thread; one that does not end within STOP_DEADLINE_MS is terminated.
 */
import { assign, fromCallback, sendParent, setup } from 'xstate';
import type { FromRank, RankFacts, RankPort, Turn } from './rank-port.ts';

/** The engine loop stops at the next step border; a prefill step of a large model takes seconds. */
const STOP_DEADLINE_MS = 10_000;

export interface RankInput {
  readonly port: RankPort;
  /** The data lane: one call per turn, never a machine event. */
  readonly onTurn: (turn: Turn) => void;
}

/** What a rank tells its group. */
export type RankReport =
  | { readonly type: 'rank.loading'; readonly stage: string; readonly fraction: number }
  | { readonly type: 'rank.ready'; readonly facts: RankFacts }
  | { readonly type: 'rank.stopped' }
  | { readonly type: 'rank.failed'; readonly message: string; readonly isStartupError: boolean };

type RankEvent =
  | { readonly type: 'stop' }
  | { readonly type: 'thread.loading'; readonly stage: string; readonly fraction: number }
  | { readonly type: 'thread.ready'; readonly facts: RankFacts }
  | { readonly type: 'thread.failed'; readonly message: string; readonly isStartupError: boolean }
  | { readonly type: 'thread.exited'; readonly reason: string | null };

interface Failure {
  readonly message: string;
  readonly isStartupError: boolean;
}

/** Listens to the thread for as long as the rank lives: turns to the data lane, everything else to the machine. */
const thread = fromCallback<RankEvent, RankInput>(({ sendBack, input }) => {
  input.port.onMessage((message: FromRank) => {
    if (message.type === 'turn') input.onTurn(message.turn);
    else if (message.type === 'loading') sendBack({ type: 'thread.loading', stage: message.stage, fraction: message.fraction });
    else if (message.type === 'ready') sendBack({ type: 'thread.ready', facts: message.facts });
    else sendBack({ type: 'thread.failed', message: message.message, isStartupError: message.isStartupError });
  });
  input.port.onExit((reason) => sendBack({ type: 'thread.exited', reason }));
});

export const rankMachine = setup({
  types: {
    context: {} as RankInput & { readonly failure: Failure },
    events: {} as RankEvent,
    input: {} as RankInput,
  },
  actors: { thread },
  actions: {
    askToStop: ({ context }) => context.port.post({ type: 'stop' }),
    terminate: ({ context }) => context.port.terminate(),
    reportStopped: sendParent({ type: 'rank.stopped' }),
    reportFailed: sendParent(({ context }) => ({ type: 'rank.failed', ...context.failure })),
    noteFailure: assign(({ context, event }) => {
      if (event.type === 'thread.failed') return { failure: { message: event.message, isStartupError: event.isStartupError } };
      if (event.type === 'thread.exited')
        return { failure: { message: event.reason ?? 'The rank ended by itself.', isStartupError: false } };
      return { failure: context.failure };
    }),
  },
  delays: { stopDeadline: STOP_DEADLINE_MS },
}).createMachine({
  id: 'rank',
  context: ({ input }) => ({ ...input, failure: { message: 'The rank failed.', isStartupError: false } }),
  invoke: { src: 'thread', input: ({ context }) => context, onError: { target: '.failed' } },
  initial: 'starting',
  on: {
    stop: '.stopping',
    'thread.failed': { target: '.failed', actions: ['noteFailure', 'terminate'] },
    'thread.exited': { target: '.failed', actions: 'noteFailure' },
  },
  states: {
    starting: {
      on: {
        'thread.loading': { target: 'loading', actions: sendParent(({ event }) => ({ ...event, type: 'rank.loading' })) },
        'thread.ready': { target: 'serving', actions: sendParent(({ event }) => ({ ...event, type: 'rank.ready' })) },
      },
    },
    loading: {
      on: {
        'thread.loading': { actions: sendParent(({ event }) => ({ ...event, type: 'rank.loading' })) },
        'thread.ready': { target: 'serving', actions: sendParent(({ event }) => ({ ...event, type: 'rank.ready' })) },
      },
    },
    serving: {},
    stopping: {
      entry: 'askToStop',
      after: { stopDeadline: { actions: 'terminate' } },
      on: {
        stop: {},
        'thread.failed': {},
        'thread.exited': 'stopped',
      },
    },
    stopped: { type: 'final', entry: 'reportStopped' },
    failed: { type: 'final', entry: 'reportFailed' },
  },
});
