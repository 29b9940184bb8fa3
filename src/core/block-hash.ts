/**
 * The name of a full block's content. Keys and values depend on every token before them, so a block is named by the chain of ids from
 * the start of the sequence, and by what else changes them: the model (fingerprint) and whom they may be shared with (cache salt).
 */
import { createHash } from 'node:crypto';

/** 128 bits of a SHA-256 in hexadecimal. */
export type BlockHash = string;

/** The parent of a sequence's first block. Only equal fingerprints and equal salts share blocks. */
export function rootHash(fingerprint: string, cacheSalt: string): BlockHash {
  return shorten(
    createHash('sha256')
      .update(JSON.stringify([fingerprint, cacheSalt]))
      .digest('hex'),
  );
}

/** The hash of the block that holds tokenIds[start … end-1] after the block `parent`. */
export function blockHash(parent: BlockHash, tokenIds: ArrayLike<number>, start: number, end: number): BlockHash {
  const ids = new Int32Array(end - start);
  for (let i = start; i < end; i++) ids[i - start] = tokenIds[i]!;
  return shorten(createHash('sha256').update(parent).update(ids).digest('hex'));
}

function shorten(digest: string): BlockHash {
  return digest.slice(0, 32);
}
