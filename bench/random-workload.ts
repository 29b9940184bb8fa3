/** Random requests, the same for the same seed: prompt token ids, output lengths, and the gaps between arrivals. */
import type { RandomSource } from '../src/core/clock.ts';

export interface WorkloadShape {
  readonly numPrompts: number;
  readonly inputLen: number;
  readonly outputLen: number;
  /** Lengths are drawn evenly from ±this share of the given ones: 0 = fixed lengths, 0.5 = half to one and a half. */
  readonly rangeRatio: number;
  /** Token ids that all prompts begin with, as a system prompt would be; counted on top of inputLen. */
  readonly prefixLen: number;
  /** Ids are drawn below this. */
  readonly vocabSize: number;
}

export interface WorkloadRequest {
  readonly promptIds: readonly number[];
  readonly outputLen: number;
}

/** Control tokens live at the lowest ids; prompts keep clear of them where the vocabulary is large enough. */
const FIRST_ORDINARY_ID = 300;

export function randomWorkload(shape: WorkloadShape, random: RandomSource): WorkloadRequest[] {
  const lowest = shape.vocabSize > 2 * FIRST_ORDINARY_ID ? FIRST_ORDINARY_ID : 0;
  const ids = (count: number) => Array.from({ length: count }, () => lowest + Math.floor(random() * (shape.vocabSize - lowest)));
  const around = (length: number) => Math.max(1, Math.round(length * (1 + shape.rangeRatio * (2 * random() - 1))));
  const prefix = ids(shape.prefixLen);
  return Array.from({ length: shape.numPrompts }, () => ({
    promptIds: [...prefix, ...ids(around(shape.inputLen))],
    outputLen: around(shape.outputLen),
  }));
}

/** Arrival times in milliseconds from 0 on: a Poisson process of `ratePerSecond`; all at once for an infinite rate. */
export function poissonArrivals(count: number, ratePerSecond: number, random: RandomSource): number[] {
  if (ratePerSecond === Number.POSITIVE_INFINITY) return new Array<number>(count).fill(0);
  let time = 0;
  return Array.from({ length: count }, (_, index) => {
    if (index > 0) time += (-Math.log(1 - random()) * 1000) / ratePerSecond;
    return time;
  });
}

/** mulberry32: enough for workloads, and repeatable. */
export function seededRandom(seed: number): RandomSource {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
