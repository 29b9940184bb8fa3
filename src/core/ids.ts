/** Ids that could be mixed up are branded. */
type Brand<T, Name extends string> = T & { readonly __brand: Name };

/** A row of the KV cache in one engine group: 0 … maxNumSeqs - 1. */
export type Slot = Brand<number, 'Slot'>;
/** A block of the prefix-cache pool. */
export type BlockId = Brand<number, 'BlockId'>;

export const slot = (value: number): Slot => value as Slot;
export const blockId = (value: number): BlockId => value as BlockId;

/** One start of a process. A later start of the same process compares greater; messages of an older one are refused. */
export type Epoch = readonly [incarnation: number, nonce: number];

/** Negative when `a` is older than `b`, 0 when they are the same start. */
export function compareEpochs(a: Epoch, b: Epoch): number {
  return a[0] - b[0] || a[1] - b[1];
}
