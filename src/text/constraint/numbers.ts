/**
 * JSON numbers with bounds, as regular expressions over their digits. A number is written with at most 15 significant digits: a double
 * holds every such decimal exactly enough that no validator sees it on the other side of a bound.
 */
import { type Automaton, automatonOf, bothOf, minimised } from './automaton.ts';
import { ConstraintError } from './constraint-error.ts';
import { alt, concat, EMPTY, NOTHING, optional, type RegexNode, range, repeat, text } from './regex-node.ts';

export interface NumberRange {
  readonly isInteger: boolean;
  /** Null = no bound. */
  readonly min: { readonly value: number; readonly isExclusive: boolean } | null;
  readonly max: { readonly value: number; readonly isExclusive: boolean } | null;
}

const MAX_DIGITS = 15;
const LIMIT = 10n ** BigInt(MAX_DIGITS) - 1n;
const DIGIT = range('0', '9');

/** Without bounds: an exponent of at most two digits, so that every number is finite. */
const FREE_INTEGER = concat(optional(text('-')), alt(text('0'), concat(range('1', '9'), repeat(DIGIT, 0, MAX_DIGITS - 1))));
const FREE_NUMBER = concat(
  FREE_INTEGER,
  optional(concat(text('.'), repeat(DIGIT, 1, MAX_DIGITS))),
  optional(concat(alt(text('e'), text('E')), optional(alt(text('+'), text('-'))), repeat(DIGIT, 1, 2))),
);

/** Every number in the range; NOTHING when there is none with 15 digits. Bounded numbers are written without an exponent. */
export function numberText({ isInteger, min, max }: NumberRange): RegexNode {
  if (!min && !max) return isInteger ? FREE_INTEGER : FREE_NUMBER;
  const places = isInteger ? 0 : placesFor(min?.value, max?.value);
  // Everything is counted in units of the last place.
  const scale = 10n ** BigInt(places);
  const most = isInteger || !(min && max) ? LIMIT * scale + (scale - 1n) : LIMIT;
  let low = min ? scaled(min.value, places, 'up') : -most;
  let high = max ? scaled(max.value, places, 'down') : most;
  if (min?.isExclusive && isExactly(min.value, low, places)) low += 1n;
  if (max?.isExclusive && isExactly(max.value, high, places)) high -= 1n;
  if (low < -most) low = -most;
  if (high > most) high = most;
  const parts: RegexNode[] = [];
  if (low < 0n && high >= low) {
    const nearest = high < 0n ? -high : 1n;
    parts.push(concat(text('-'), decimals(nearest, -low, places)));
  }
  if (high >= 0n && high >= low) parts.push(decimals(low > 0n ? low : 0n, high, places));
  return parts.length === 0 ? NOTHING : alt(...parts);
}

/** Digits behind the point, so that 15 are left for the whole number. An open side counts as large as the other, but leaves six places. */
function placesFor(min: number | undefined, max: number | undefined): number {
  const largest = Math.max(Math.abs(min ?? 0), Math.abs(max ?? 0));
  const numWhole = largest < 1 ? 1 : Math.floor(Math.log10(largest)) + 1;
  const places = Math.max(0, Math.min(MAX_DIGITS - 1, MAX_DIGITS - numWhole));
  return min === undefined || max === undefined ? Math.min(places, 6) : places;
}

/** The bound in units of the last place, rounded into the range. */
function scaled(value: number, places: number, direction: 'up' | 'down'): bigint {
  const { digits, exponent } = decimalOf(value);
  const shift = exponent + places;
  if (shift >= 0) return digits * 10n ** BigInt(shift);
  const divisor = 10n ** BigInt(-shift);
  const quotient = digits / divisor; // towards zero
  if (digits % divisor === 0n) return quotient;
  if (direction === 'up') return digits > 0n ? quotient + 1n : quotient;
  return digits < 0n ? quotient - 1n : quotient;
}

function isExactly(value: number, units: bigint, places: number): boolean {
  const { digits, exponent } = decimalOf(value);
  const shift = exponent + places;
  return shift >= 0 ? digits * 10n ** BigInt(shift) === units : digits === units * 10n ** BigInt(-shift);
}

/** The shortest decimal that reads as this double: digits · 10^exponent. */
function decimalOf(value: number): { readonly digits: bigint; readonly exponent: number } {
  const [mantissa, exponent] = value.toExponential().split('e') as [string, string];
  const [whole, fraction = ''] = mantissa.split('.') as [string, string?];
  return { digits: BigInt(whole + fraction), exponent: Number(exponent) - fraction.length };
}

/** low ≤ n ≤ high, both ≥ 0, in units of 10^-places. */
function decimals(low: bigint, high: bigint, places: number): RegexNode {
  const scale = 10n ** BigInt(places);
  const [lowWhole, highWhole] = [low / scale, high / scale];
  const [lowRest, highRest] = [low % scale, high % scale];
  const all = '9'.repeat(places);
  const none = '0'.repeat(places);
  const pad = (rest: bigint) => rest.toString().padStart(places, '0').slice(0, places);
  if (places === 0) return wholes(low, high);
  if (lowWhole === highWhole) return concat(wholes(lowWhole, lowWhole), fraction(pad(lowRest), pad(highRest)));
  const parts = [concat(wholes(lowWhole, lowWhole), fraction(pad(lowRest), all))];
  if (highWhole - lowWhole > 1n) parts.push(concat(wholes(lowWhole + 1n, highWhole - 1n), fraction(none, all)));
  parts.push(concat(wholes(highWhole, highWhole), fraction(none, pad(highRest))));
  return alt(...parts);
}

/** Whole numbers without leading zeros, by their number of digits. */
function wholes(low: bigint, high: bigint): RegexNode {
  const parts: RegexNode[] = [];
  for (let from = low; from <= high; ) {
    const numDigits = from.toString().length;
    const largest = 10n ** BigInt(numDigits) - 1n;
    const to = largest < high ? largest : high;
    parts.push(sameLength(from.toString(), to.toString()));
    from = to + 1n;
  }
  return alt(...parts);
}

/** Texts of digits of one length between two. */
function sameLength(low: string, high: string): RegexNode {
  if (low === '') return EMPTY;
  if (/^0*$/.test(low) && /^9*$/.test(high)) return repeat(DIGIT, low.length, low.length);
  return byFirstDigit(low, high, sameLength, (rest) => repeat(DIGIT, rest, rest));
}

/** `.` and digits, or nothing, such that the digits filled up with zeros lie between `low` and `high`. */
function fraction(low: string, high: string): RegexNode {
  const digits = concat(text('.'), tail(low, high));
  return /^0*$/.test(low) ? optional(digits) : digits;
}

/** One to all digits. */
function tail(low: string, high: string): RegexNode {
  if (/^0*$/.test(low) && /^9*$/.test(high)) return repeat(DIGIT, 1, low.length);
  const rest = (from: string, to: string): RegexNode => {
    if (from === '') return EMPTY;
    return /^0*$/.test(from) ? optional(tail(from, to)) : tail(from, to);
  };
  return byFirstDigit(low, high, rest, (numDigits) => repeat(DIGIT, 0, numDigits));
}

function byFirstDigit(
  low: string,
  high: string,
  between: (low: string, high: string) => RegexNode,
  anything: (numDigits: number) => RegexNode,
): RegexNode {
  const [first, last] = [low[0]!, high[0]!];
  const size = low.length - 1;
  if (first === last) return concat(text(first), between(low.slice(1), high.slice(1)));
  const parts = [concat(text(first), between(low.slice(1), '9'.repeat(size)))];
  if (Number(last) - Number(first) > 1) {
    parts.push(concat(range(String(Number(first) + 1), String(Number(last) - 1)), anything(size)));
  }
  parts.push(concat(text(last), between('0'.repeat(size), high.slice(1))));
  return alt(...parts);
}

const MAX_REMAINDERS = 128;
/** Of multiples: every digit costs a state for each remainder. */
const MAX_MULTIPLE_DIGITS = 9;

/**
 * The integers among `numbers` that `divisor` divides, without an exponent.
 * @throws ConstraintError when that takes too many states.
 */
export function multiplesOf(divisor: number, numbers: RegexNode): Automaton {
  // Zeros at the end can be told apart only where the rest has no part in 10.
  const zeroesAtEnd = /0*$/.exec(String(divisor))![0].length;
  const rest = divisor / 10 ** zeroesAtEnd;
  const isApart = rest % 2 !== 0 && rest % 5 !== 0;
  const [odd, numZeros] = isApart ? [rest, zeroesAtEnd] : [divisor, 0];
  if (odd > MAX_REMAINDERS) {
    throw new ConstraintError(
      `"multipleOf": ${divisor} is not supported: divisors are at most ${MAX_REMAINDERS}, or a smaller odd number with zeros behind it`,
    );
  }
  // State 1 + r: the digits so far leave the remainder r. Zeros at the end are told apart by a pattern beside it.
  const states = Array.from({ length: odd }, (_, remainder) => ({
    isAccepting: remainder === 0,
    edges: Array.from({ length: 10 }, (_digit, digit) => [48 + digit, 48 + digit, 1 + ((remainder * 10 + digit) % odd)] as const),
  }));
  const start = { isAccepting: false, edges: [[45, 45, 1] as const, ...states[0]!.edges] };
  const remainders = minimised({ states: [start, ...states] });
  const zeros = alt(text('0'), concat(optional(text('-')), repeat(DIGIT, 1, MAX_MULTIPLE_DIGITS), text('0'.repeat(numZeros))));
  return bothOf(bothOf(remainders, automatonOf(zeros)), automatonOf(numbers));
}
