/**
 * Which engine holds which blocks of its prefix cache, as far as a frontend knows. One set of hashes per engine: engines come, go and
 * are replaced as a whole far more often than anybody asks for all holders of one block. What the index does not know, or knows wrongly,
 * costs a prefill and nothing else.
 */
import { type BlockHash, blockHash, rootHash } from '../core/block-hash.ts';

export interface PrefixIndexOptions {
  /** Over all engines: about 100 bytes each. 2^20 unless given; above it new blocks are not noted. */
  readonly maxBlocks?: number;
}

export class PrefixIndex {
  readonly #maxBlocks: number;
  /** By engine key, so that another epoch is another engine. */
  readonly #byEngine = new Map<string, Set<BlockHash>>();
  #numBlocks = 0;

  constructor({ maxBlocks = 2 ** 20 }: PrefixIndexOptions = {}) {
    this.#maxBlocks = maxBlocks;
  }

  /** Of all engines. */
  get numBlocks(): number {
    return this.#numBlocks;
  }

  /** Whether anything is known to be cached anywhere. */
  get isEmpty(): boolean {
    return this.#numBlocks === 0;
  }

  apply(engineKey: string, stored: Iterable<BlockHash>, removed: Iterable<BlockHash>): void {
    const blocks = this.#byEngine.get(engineKey) ?? new Set();
    this.#byEngine.set(engineKey, blocks);
    const before = blocks.size;
    let room = this.#maxBlocks - this.#numBlocks;
    for (const hash of removed) if (blocks.delete(hash)) room++;
    for (const hash of stored) {
      if (room <= 0) break;
      if (blocks.has(hash)) continue;
      blocks.add(hash);
      room--;
    }
    this.#numBlocks += blocks.size - before;
  }

  replace(engineKey: string, stored: Iterable<BlockHash>): void {
    this.drop(engineKey);
    this.apply(engineKey, stored, []);
  }

  drop(engineKey: string): void {
    this.#numBlocks -= this.#byEngine.get(engineKey)?.size ?? 0;
    this.#byEngine.delete(engineKey);
  }

  blocksOf(engineKey: string): ReadonlySet<BlockHash> {
    return this.#byEngine.get(engineKey) ?? new Set();
  }

  /** How many of the prompt's first blocks the engine holds. */
  numCached(engineKey: string, prompt: PromptBlocks): number {
    const blocks = this.#byEngine.get(engineKey);
    if (!blocks || blocks.size === 0) return 0;
    let num = 0;
    while (num < prompt.length && blocks.has(prompt.hash(num))) num++;
    return num;
  }
}

/** A prompt's full blocks by their names, hashed as far as somebody looks: 3 µs for a block of 64 tokens. */
export class PromptBlocks {
  /** Blocks that an engine could take from its cache: the last token is always computed. */
  readonly length: number;
  readonly #hashes: BlockHash[] = [];
  readonly #tokenIds: ArrayLike<number>;
  readonly #blockSize: number;
  readonly #root: BlockHash;

  constructor(options: {
    readonly tokenIds: ArrayLike<number>;
    readonly blockSize: number;
    readonly fingerprint: string;
    readonly cacheSalt: string;
  }) {
    this.#tokenIds = options.tokenIds;
    this.#blockSize = options.blockSize;
    this.#root = rootHash(options.fingerprint, options.cacheSalt);
    this.length = Math.max(0, Math.floor((options.tokenIds.length - 1) / options.blockSize));
  }

  hash(index: number): BlockHash {
    const hashes = this.#hashes;
    const size = this.#blockSize;
    for (let next = hashes.length; next <= index; next++)
      hashes.push(blockHash(hashes[next - 1] ?? this.#root, this.#tokenIds, next * size, (next + 1) * size));
    return hashes[index]!;
  }
}
