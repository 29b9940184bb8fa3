/** The two facts about UTF-8 that incremental decoding needs. */

/**
 * How many bytes at the end of `bytes` start a character that later bytes could still complete: 0 … 3.
 * Bytes that can never become a character (a stray continuation, an overlong form) are not counted: they are already known to be broken.
 */
export function incompleteTailLength(bytes: ArrayLike<number>): number {
  const end = bytes.length;
  for (let length = 1; length <= 3 && length <= end; length++) {
    const lead = bytes[end - length]!;
    if (lead < 0x80) return 0;
    if (lead >= 0xc0) return sequenceLength(lead) > length && isValidStart(bytes, end - length, length) ? length : 0;
  }
  return 0;
}

/** Bytes of the character that `lead` opens; 0 when it opens none. */
export function sequenceLength(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  if (lead >= 0xf0 && lead <= 0xf4) return 4;
  return 0;
}

/** Whether the first `length` bytes at `at` can begin a character (Unicode 16, table 3-7: the second byte's range depends on the first). */
export function isValidStart(bytes: ArrayLike<number>, at: number, length: number): boolean {
  const lead = bytes[at]!;
  for (let i = 1; i < length; i++) {
    const byte = bytes[at + i]!;
    const low = i > 1 ? 0x80 : lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    const high = i > 1 ? 0xbf : lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    if (byte < low || byte > high) return false;
  }
  return true;
}
