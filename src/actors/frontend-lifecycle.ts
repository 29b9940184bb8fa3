/**
 * What a frontend as a whole can do for its clients, as `/ready` and `/health` tell it.
 *
 *   loading     no engine has served yet: requests are refused with `model_loading`
 *   ready       at least one engine serves: requests run
 *   recovering  engines have served, none does now: requests are taken and wait for one
 *   draining    the server shuts down: what runs finishes, new requests are refused
 *   failed      the supervisor gave up on the engines: new requests are refused with its reason; outlasts a drain
 *   closed      nothing runs any more (final)
 *
 * Lives of single requests are request.ts's; this machine sees four kinds of event and never a token.
 */
import { assign, type SnapshotFrom, setup } from 'xstate';
import type { Readiness } from '../core/generation.ts';

export type FrontendEvent =
  /** The directory: an engine came, went or changed its state. `lastLoss`: why the last one that was lost is gone. */
  | { readonly type: 'engines.changed'; readonly isServing: boolean; readonly lastLoss: string | null }
  | { readonly type: 'drain' }
  /** The supervisor: no engine will come back. */
  | { readonly type: 'fail'; readonly reason: string }
  | { readonly type: 'close' };

interface FrontendContext {
  /** Why no engine serves, or why none ever will. */
  readonly reason: string;
}

const NO_ENGINE = 'No engine serves at the moment.';

export const frontendMachine = setup({
  types: { context: {} as FrontendContext, events: {} as FrontendEvent },
  guards: {
    isServing: ({ event }) => event.type === 'engines.changed' && event.isServing,
  },
  actions: {
    noteLoss: assign({
      reason: ({ context, event }) => (event.type === 'engines.changed' ? (event.lastLoss ?? NO_ENGINE) : context.reason),
    }),
    noteFailure: assign({ reason: ({ context, event }) => (event.type === 'fail' ? event.reason : context.reason) }),
  },
}).createMachine({
  id: 'frontend',
  context: { reason: NO_ENGINE },
  initial: 'loading',
  on: { drain: '.draining', fail: { target: '.failed', actions: 'noteFailure' }, close: '.closed' },
  states: {
    loading: { on: { 'engines.changed': { guard: 'isServing', target: 'ready' } } },
    ready: { on: { 'engines.changed': [{ guard: 'isServing' }, { target: 'recovering', actions: 'noteLoss' }] } },
    recovering: { on: { 'engines.changed': [{ guard: 'isServing', target: 'ready' }, { actions: 'noteLoss' }] } },
    draining: {},
    failed: { on: { drain: {} } },
    closed: { type: 'final' },
  },
});

/** The machine's state in the words of the HTTP edge. */
export function readinessOf(snapshot: SnapshotFrom<typeof frontendMachine>): Readiness {
  switch (snapshot.value) {
    case 'loading':
    case 'ready':
      return { state: snapshot.value };
    case 'recovering':
    case 'failed':
      return { state: snapshot.value, reason: snapshot.context.reason };
    case 'draining':
    case 'closed':
      return { state: 'draining', reason: 'The server is shutting down.' };
    default:
      return snapshot.value satisfies never;
  }
}
