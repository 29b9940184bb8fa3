/** Block hashes as they travel: 16 bytes each, one after the other. */
import type { BlockHash } from '../core/block-hash.ts';

const HASH_BYTES = 16;
/** Of a stored block: its hash, then its parent's. */
export const STORED_BYTES = 2 * HASH_BYTES;

export function packHashes(hashes: readonly BlockHash[]): Uint8Array {
  return Buffer.from(hashes.join(''), 'hex');
}

export function unpackHashes(data: Uint8Array): BlockHash[] {
  const hex = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex');
  const hashes: BlockHash[] = [];
  for (let at = 0; at < hex.length; at += 2 * HASH_BYTES) hashes.push(hex.slice(at, at + 2 * HASH_BYTES));
  return hashes;
}

/** Of stored blocks, without their parents. */
export function unpackStored(data: Uint8Array): BlockHash[] {
  return unpackHashes(data).filter((_, i) => i % 2 === 0);
}
