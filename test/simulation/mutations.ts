/** Defects put into the actors on purpose, one at a time: the simulation has to find each. They are the proof that its invariants can fail. */
import { FrameDelivery } from '../../src/actors/frame-delivery.ts';
import { FrameIntake } from '../../src/actors/frame-intake.ts';
import { FrameRing } from '../../src/actors/frame-ring.ts';
import { FrontendSessions } from '../../src/actors/frontend-sessions.ts';
import { Journal } from '../../src/actors/journal.ts';
import { KvCache } from '../../src/engine/kv/kv-cache.ts';
import type { Invariant } from './invariants.ts';

export interface Mutation {
  readonly name: string;
  /** The invariants that may notice it first. */
  readonly breaks: readonly Invariant[];
  /** Puts it in; the result takes it out again. */
  apply(): () => void;
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'a frontend takes repeated frames, and its journal appends what it has',
    breaks: ['tokens', 'outcome', 'usage', 'hung', 'leak'],
    apply: () => {
      const takeOut = [
        patch(
          FrameIntake.prototype,
          'accept',
          (original) =>
            function (this: FrameIntake, ...args: Parameters<FrameIntake['accept']>) {
              const verdict = original.apply(this, args);
              return verdict === 'duplicate' ? 'take' : verdict;
            },
        ),
        patch(Journal.prototype, 'numKnown', () => () => 0),
      ];
      return () => {
        for (const undo of takeOut) undo();
      };
    },
  },
  {
    name: 'a continued request gets another seed',
    breaks: ['tokens'],
    apply: () =>
      patch(
        Journal.prototype,
        'toAddRequest',
        (original) =>
          function (this: Journal, ...args: Parameters<Journal['toAddRequest']>) {
            const message = original.apply(this, args);
            return message.attempt > 1 ? { ...message, seed: message.seed + 1n } : message;
          },
      ),
  },
  {
    name: 'an engine forgets to give blocks back',
    breaks: ['leak', 'crash', 'rest', 'outcome', 'hung'],
    apply: () => patch(KvCache.prototype, 'release', () => () => {}),
  },
  {
    name: 'an engine never says that an aborted request is over',
    breaks: ['leak', 'rest'],
    apply: () =>
      patch(
        FrontendSessions.prototype,
        'distribute',
        (original) =>
          function (this: FrontendSessions, ...args: Parameters<FrontendSessions['distribute']>) {
            return original.call(
              this,
              args[0].filter(({ finish }) => finish !== 'abort'),
            );
          },
      ),
  },
  {
    name: 'beats do not say how many frames there were',
    breaks: ['hung', 'leak', 'rest'],
    apply: () => patch(FrameDelivery.prototype, 'heard', () => () => {}),
  },
  {
    name: 'an engine keeps every frame',
    breaks: ['leak', 'rest'],
    apply: () => patch(FrameRing.prototype, 'acknowledge', () => () => {}),
  },
];

function patch<T extends object, K extends keyof T>(prototype: T, name: K, make: (original: T[K]) => T[K]): () => void {
  const original = prototype[name];
  prototype[name] = make(original);
  return () => {
    prototype[name] = original;
  };
}
