/**
 * Between an engine group's main thread and a rank's thread: plain data that survives a structured clone, and the port that carries it.
 * thread-rank.ts is the real port; tests run the same loop without a thread.
 */

import type { CollectiveCounters } from '../engine/collective/collective.ts';
import type { KvChanges } from '../engine/kv/kv-events.ts';
import type { AddResult, EngineChoice, EngineRequest, EngineStats, SequenceOutput } from '../engine/request.ts';
import type { SequenceFlow } from '../engine/sequence.ts';

/** An EngineRequest as it crosses the thread border: prompt ids stay packed. */
export interface RankRequest extends Omit<EngineRequest, 'promptIds' | 'choices'> {
  readonly promptIds: Uint32Array;
  readonly choices: readonly EngineChoice[];
}

export type ToRank =
  /** Answered in the next turn under the same tag. */
  | { readonly type: 'add'; readonly tag: number; readonly request: RankRequest }
  /** Takes effect before the next step. `choice` null = all. Unknown keys are ignored. */
  | { readonly type: 'abort'; readonly key: string; readonly choice: number | null }
  /** How a request's reader keeps up (engine/sequence.ts). Unknown keys are ignored. */
  | { readonly type: 'flow'; readonly key: string; readonly flow: SequenceFlow }
  /** Frozen: sequences stand still between two tokens; adds and aborts go on. The next turn repeats the revision. */
  | { readonly type: 'freeze'; readonly isFrozen: boolean; readonly revision: number }
  | { readonly type: 'stop' };

/** What one turn of the loop gave: at most one engine step. */
export interface Turn {
  readonly stepId: number;
  readonly answers: readonly { readonly tag: number; readonly result: AddResult }[];
  readonly outputs: readonly SequenceOutput[];
  /** Why outputs with finish `error` could not go on, for the log. */
  readonly errors: readonly string[];
  readonly stats: EngineStats;
  /** There is something to compute at once; absent = not known. */
  readonly hasWork?: boolean;
  /** Messages taken since the rank began. */
  readonly numTaken?: number;
  /** What came to and went from the prefix cache; absent when nothing did. */
  readonly kv?: KvChanges;
  /** Of the last `freeze`; absent before the first. */
  readonly freezeRevision?: number;
  /** What exchanges with other ranks took so far; absent for a rank alone. */
  readonly collective?: CollectiveCounters;
}

/** What a loaded rank says about itself. */
export interface RankFacts {
  /** Equal fingerprints promise equal tokens. */
  readonly fingerprint: string;
  /** KV cache budget in blocks. */
  readonly numBlocks: number;
  readonly vocabSize: number;
  /** Tokens of a KV block, for routers that know prefixes by their blocks; absent = nothing is shared. */
  readonly blockSize?: number;
}

export type FromRank =
  | { readonly type: 'loading'; readonly stage: string; readonly fraction: number }
  | { readonly type: 'ready'; readonly facts: RankFacts }
  | { readonly type: 'turn'; readonly turn: Turn }
  /** The thread ends after this. `isStartupError`: the operator's mistake, not worth a restart. */
  | { readonly type: 'failed'; readonly message: string; readonly isStartupError: boolean };

export interface RankPort {
  post(message: ToRank): void;
  /** One handler; called in order. */
  onMessage(handler: (message: FromRank) => void): void;
  /** Called once when the thread is gone; `reason` null = it ended after `stop`. */
  onExit(handler: (reason: string | null) => void): void;
  /** Ends the thread without asking it. */
  terminate(): void;
}
