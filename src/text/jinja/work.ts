/**
 * How much a running template may still do. A template that came with a request could loop for hours or write gigabytes, on the thread
 * that serves everybody: such a render gets an allowance, and what costs time or memory is paid for before it is done. One unit is a node
 * of the tree, an item that is looked at, or 16 characters that are read or written: some 300 ns at most. Rendering is synchronous, so one
 * allowance holds at a time.
 */
import { TemplateError } from './errors.ts';

let unitsLeft = Number.POSITIVE_INFINITY;

/** @throws TemplateError from within `run` when it wants to do more than `units` of work. */
export function withWorkLimit<T>(units: number, run: () => T): T {
  const before = unitsLeft;
  unitsLeft = units;
  try {
    return run();
  } finally {
    unitsLeft = before;
  }
}

export function spend(units: number): void {
  unitsLeft -= units;
  if (!(unitsLeft >= 0)) throw new TemplateError('the template does more work than a request may ask for');
}

const CHARACTERS_PER_UNIT = 16;

/** A text of so many characters is read or written. */
export function spendText(numChars: number): void {
  spend(numChars / CHARACTERS_PER_UNIT);
}
