/**
 * What the processes of one engine group say to each other over a FrameLink. A link belongs to one group epoch for as long as it lives:
 * what comes through it is of that epoch. Nothing is lost on it; when it closes, the group ends on both sides.
 */
import type { Epoch } from '../core/ids.ts';
import type { KvLayout } from '../engine/runner/model-runner.ts';

/** Raise it when processes of two versions must not be one group. */
export const GROUP_PROTOCOL = 1;

/** Kinds of frames. */
export const FRAME = { control: 1, step: 2, piece: 3 } as const;

/** What all ranks must do alike; node 0 says it. */
export interface GroupPlan {
  readonly groupEpoch: Epoch;
  readonly layout: Omit<KvLayout, 'numPoolBlocks'>;
  /** Of all ranks together, so that all count the same blocks. */
  readonly kvCacheMemoryBytes: number;
  readonly maxNumBatchedTokens: number;
  /** Milliseconds. */
  readonly collectiveDeadline: number;
}

export type GroupControl =
  /** Node 0, first thing. The other answers with a proof that it knows the group's secret. */
  | { readonly type: 'challenge'; readonly nonce: string }
  | {
      readonly type: 'hello';
      readonly protocol: number;
      readonly node: number;
      readonly numNodes: number;
      readonly size: number;
      /** Of config, weights and quantisation: equal where ranks can share a model. */
      readonly model: string;
      /** HMAC-SHA256 of the nonce and the node's number under the secret, hex. */
      readonly proof: string;
    }
  /** The link closes after it. */
  | { readonly type: 'refused'; readonly reason: string }
  | { readonly type: 'welcome'; readonly plan: GroupPlan }
  /** Answers `welcome`: the epoch that it takes part in. */
  | { readonly type: 'joined'; readonly groupEpoch: Epoch }
  | { readonly type: 'loading'; readonly stage: string; readonly fraction: number }
  /** All ranks of the node have loaded. */
  | { readonly type: 'ready'; readonly numBlocks: number; readonly fingerprint: string; readonly vocabSize: number }
  | { readonly type: 'failed'; readonly message: string; readonly isStartupError: boolean }
  /** Node 0 ends in order. */
  | { readonly type: 'stop' };
