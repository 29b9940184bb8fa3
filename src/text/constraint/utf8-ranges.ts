/**
 * Characters beyond ASCII as sequences of byte ranges. XGrammar 0.1.27 takes the members of a bracket for bytes, not for characters: a
 * class of them must be written byte by byte. So a class also holds exactly the valid UTF-8, no half characters or surrogates.
 */
import type { CharSet } from './char-set.ts';

export type ByteRange = readonly [first: number, last: number];

const LAST_OF_LENGTH = [0x7f, 0x7ff, 0xffff, 0x10ffff];

/** Together the sequences match exactly the UTF-8 of the set's characters. */
export function utf8Sequences(set: CharSet): (readonly ByteRange[])[] {
  return set.flatMap(([first, last]) => sequences(first, last));
}

function sequences(first: number, last: number): (readonly ByteRange[])[] {
  const numBytes = LAST_OF_LENGTH.findIndex((limit) => first <= limit) + 1;
  const limit = LAST_OF_LENGTH[numBytes - 1]!;
  if (last > limit) return [...sequences(first, limit), ...sequences(limit + 1, last)];
  for (let place = 1; place < numBytes; place++) {
    const mask = 2 ** (6 * place) - 1;
    if ((first & ~mask) === (last & ~mask)) continue;
    // Where the leading bytes differ, the bytes behind them must run over their whole range.
    if ((first & mask) !== 0) return [...sequences(first, first | mask), ...sequences((first | mask) + 1, last)];
    if ((last & mask) !== mask) return [...sequences(first, (last & ~mask) - 1), ...sequences(last & ~mask, last)];
  }
  const [low, high] = [bytesOf(first), bytesOf(last)];
  return [low.map((byte, index) => [byte, high[index]!])];
}

const bytesOf = (code: number): number[] => [...new TextEncoder().encode(String.fromCodePoint(code))];
