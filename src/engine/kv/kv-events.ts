/**
 * What changed in the prefix cache since somebody last asked, for routers that send requests where their prefix is. A block that came and
 * went in between is not told at all, so an engine that only moves blocks around says nothing.
 */
import type { BlockHash } from '../../core/block-hash.ts';

export interface KvChanges {
  /** Parents before their children. */
  readonly stored: readonly (readonly [hash: BlockHash, parent: BlockHash])[];
  readonly removed: readonly BlockHash[];
}

export class KvEventLog {
  /** Hash → its parent (it is there now and was not), or null (it was there and is not). */
  readonly #changed = new Map<BlockHash, BlockHash | null>();

  noteStored(hash: BlockHash, parent: BlockHash): void {
    if (!this.#changed.delete(hash)) this.#changed.set(hash, parent);
  }

  noteRemoved(hash: BlockHash): void {
    if (!this.#changed.delete(hash)) this.#changed.set(hash, null);
  }

  /** The changes since the last call; null when there are none. */
  take(): KvChanges | null {
    if (this.#changed.size === 0) return null;
    const stored: [BlockHash, BlockHash][] = [];
    const removed: BlockHash[] = [];
    for (const [hash, parent] of this.#changed)
      if (parent === null) removed.push(hash);
      else stored.push([hash, parent]);
    this.#changed.clear();
    return { stored, removed };
  }
}
