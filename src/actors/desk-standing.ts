import type { BlockHash } from '../core/block-hash.ts';
import type { EngineState } from '../transport/messages.ts';

/** What a rank has been told and holds, whichever epoch its group goes by. */
export interface DeskLegacy {
  readonly nextTag: number;
  readonly blocks: ReadonlyMap<BlockHash, BlockHash>;
}

/** What the group says about itself in beats and refusals. */
export interface DeskStanding {
  readonly state: EngineState;
  readonly fingerprint: string;
  readonly reason: string | null;
  readonly numBlocks: number;
  /** Tokens of a KV block; null = not known yet, or nothing is shared. */
  readonly blockSize: number | null;
}
