/**
 * The life of one request in a frontend. A root actor of its own: thousands live side by side in a Map.
 *
 *   queued      waits for a serving engine                              abort → aborted, none in time → failed
 *   routed      offered to an engine, which has not answered yet        refused → queued again, or failed
 *   prefilling  accepted; no token yet from this engine
 *   decoding    tokens arrive; they go past this machine, into the journal
 *   continuing  its engine is lost or gave it up: waits for one that gives the same tokens, then routed again with the journal
 *   finished    every choice has its finish reason (final)
 *   cut         its engine is lost and no other can continue it; it keeps the output that it has (final)
 *   aborted     the client left, or an operator ended it (final)
 *   failed      an error its client sees (final)
 *
 * `engine.lost` in routed, prefilling or decoding leads to continuing (queued, when no engine ever accepted it); a request that has seen
 * MAX_ENGINE_DEATHS engines die is not given to another. The machine decides; waiting and asking is done by the ports handed in.
 */
import { assign, fromPromise, setup } from 'xstate';
import { TroupeError } from '../core/errors.ts';
import type { EngineRef } from './directory.ts';

const MAX_ENGINE_DEATHS = 3;

export type Outcome =
  | { readonly type: 'finished' }
  | { readonly type: 'aborted' }
  /** Its engine died and no other could continue it: what was said stands. */
  | { readonly type: 'cut' }
  | { readonly type: 'failed'; readonly error: TroupeError };

/** What the machine has others do. */
export interface RequestPorts {
  /** Resolves with an engine to offer the request to. @throws TroupeError: none in time, overload. */
  findEngine(signal: AbortSignal): Promise<EngineRef>;
  /** `elsewhere`: this engine will not have it now. @throws TroupeError: no engine will. */
  offer(engine: EngineRef, attempt: number, signal: AbortSignal): Promise<'accepted' | 'elsewhere'>;
  /** An engine accepted it: called at least once before `finished`. */
  onAccepted(): void;
  /** Whether a token of it has arrived: then a failure to continue it cuts it short instead of failing it. */
  hasOutput(): boolean;
  /** Called exactly once. */
  onEnd(outcome: Outcome): void;
}

export type RequestEvent =
  /** The first token since it was offered to the present engine. */
  | { readonly type: 'first.token' }
  /** `isDeath`: the engine's process died; otherwise it lives but no longer works on this request. */
  | { readonly type: 'engine.lost'; readonly isDeath: boolean; readonly reason: string }
  | { readonly type: 'done' }
  | { readonly type: 'abort' }
  | { readonly type: 'fail'; readonly error: TroupeError };

interface RequestContext {
  readonly ports: RequestPorts;
  readonly engine: EngineRef | null;
  readonly attempt: number;
  readonly numDeaths: number;
  readonly wasAccepted: boolean;
  readonly error: TroupeError | null;
}

const toTroupeError = (error: unknown): TroupeError =>
  error instanceof TroupeError ? error : new TroupeError('internal_error', 'The request could not be placed.', { cause: error });

/** An invoked actor's events are outside the machine's own: what `findEngine` found, or why it failed. */
const outputOf = (event: object): EngineRef => (event as { readonly output: EngineRef }).output;
const errorOf = (event: object): unknown => (event as { readonly error?: unknown }).error;

const requestSetup = setup({
  types: { context: {} as RequestContext, events: {} as RequestEvent, input: {} as { readonly ports: RequestPorts } },
  actors: {
    findEngine: fromPromise<EngineRef, RequestPorts>(({ input, signal }) => input.findEngine(signal)),
    offer: fromPromise<'accepted' | 'elsewhere', RequestContext>(({ input, signal }) =>
      input.ports.offer(input.engine!, input.attempt, signal),
    ),
  },
  guards: {
    hasSeenTooManyDeaths: ({ context, event }) =>
      event.type === 'engine.lost' && event.isDeath && context.numDeaths + 1 >= MAX_ENGINE_DEATHS,
    wasAccepted: ({ context }) => context.wasAccepted,
    hasOutput: ({ context }) => context.ports.hasOutput(),
    diesTooOftenWithOutput: ({ context, event }) =>
      event.type === 'engine.lost' && event.isDeath && context.numDeaths + 1 >= MAX_ENGINE_DEATHS && context.ports.hasOutput(),
  },
  actions: {
    accept: ({ context }) => context.ports.onAccepted(),
    noteAccepted: assign({ wasAccepted: true }),
    noteEngine: assign(({ context, event }) => ({ engine: outputOf(event), attempt: context.attempt + 1 })),
    noteError: assign(({ event }) => ({ error: toTroupeError(errorOf(event)) })),
    countDeath: assign({
      engine: null,
      numDeaths: ({ context, event }) => context.numDeaths + (event.type === 'engine.lost' && event.isDeath ? 1 : 0),
    }),
    noteDeaths: assign({
      error: ({ event }) =>
        new TroupeError(
          'engine_failed',
          `The engine died ${MAX_ENGINE_DEATHS} times while it worked on this request${event.type === 'engine.lost' ? ` (last: ${event.reason})` : ''}; it is not tried again.`,
        ),
    }),
    endFinished: ({ context }) => context.ports.onEnd({ type: 'finished' }),
    endCut: ({ context }) => context.ports.onEnd({ type: 'cut' }),
    endAborted: ({ context }) => context.ports.onEnd({ type: 'aborted' }),
    endFailed: ({ context }) => context.ports.onEnd({ type: 'failed', error: toTroupeError(context.error) }),
  },
});

/** Waits for an engine, then offers the request to it. */
const FIND_ENGINE = {
  src: 'findEngine',
  input: ({ context }: { readonly context: RequestContext }) => context.ports,
  onDone: { target: 'routed', actions: 'noteEngine' },
  onError: [
    { guard: 'hasOutput', target: 'cut' },
    { target: 'failed', actions: 'noteError' },
  ],
} as const;

export const requestMachine = requestSetup.createMachine({
  id: 'request',
  context: ({ input }) => ({ ports: input.ports, engine: null, attempt: 0, numDeaths: 0, wasAccepted: false, error: null }),
  initial: 'queued',
  on: {
    done: '.finished',
    abort: '.aborted',
    fail: { target: '.failed', actions: assign({ error: ({ event }) => event.error }) },
  },
  states: {
    queued: { invoke: FIND_ENGINE },
    routed: {
      invoke: {
        src: 'offer',
        input: ({ context }) => context,
        onDone: [
          { guard: ({ event }) => event.output === 'accepted', target: 'prefilling' },
          { guard: 'wasAccepted', target: 'continuing' },
          { target: 'queued' },
        ],
        onError: [
          { guard: 'hasOutput', target: 'cut' },
          { target: 'failed', actions: 'noteError' },
        ],
      },
      on: {
        // Its tokens may overtake the engine's answer, and say the same.
        'first.token': { target: 'decoding', actions: ['noteAccepted', 'accept'] },
        'engine.lost': [
          { guard: 'diesTooOftenWithOutput', target: 'cut' },
          { guard: 'hasSeenTooManyDeaths', target: 'failed', actions: 'noteDeaths' },
          { guard: 'wasAccepted', target: 'continuing', actions: 'countDeath' },
          { target: 'queued', actions: 'countDeath' },
        ],
      },
    },
    prefilling: {
      entry: ['noteAccepted', 'accept'],
      on: {
        'first.token': 'decoding',
        'engine.lost': [
          { guard: 'diesTooOftenWithOutput', target: 'cut' },
          { guard: 'hasSeenTooManyDeaths', target: 'failed', actions: 'noteDeaths' },
          { target: 'continuing', actions: 'countDeath' },
        ],
      },
    },
    decoding: {
      on: {
        'engine.lost': [
          { guard: 'diesTooOftenWithOutput', target: 'cut' },
          { guard: 'hasSeenTooManyDeaths', target: 'failed', actions: 'noteDeaths' },
          { target: 'continuing', actions: 'countDeath' },
        ],
      },
    },
    continuing: { invoke: FIND_ENGINE },
    finished: { type: 'final', entry: 'endFinished' },
    cut: { type: 'final', entry: 'endCut' },
    aborted: { type: 'final', entry: 'endAborted' },
    failed: { type: 'final', entry: 'endFailed' },
  },
});
