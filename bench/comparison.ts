/** From the rounds of both engines to one row per case. */
import type { Case, EngineName, RoundResult } from './compare-round.ts';
import { median } from './statistics.ts';

export interface ComparisonRow {
  readonly case: Case;
  readonly quantization: string;
  /** Tokens per second, as is `rival`. */
  readonly troupe: number;
  readonly rival: number;
  readonly ratio: number;
}

export type Measured = Readonly<Record<EngineName, readonly RoundResult[]>>;

/** `rivalName`: which of the rival's set-ups stands against troupe. */
export function compareCase(name: Case, quantization: string, measured: Measured, rivalName: EngineName = 'node-llama-cpp'): ComparisonRow {
  const troupe = bestMedian(measured.troupe, name);
  const rival = bestMedian(measured[rivalName], name);
  return { case: name, quantization, troupe, rival, ratio: troupe / rival };
}

/** The median over the rounds of the variant that does best. */
function bestMedian(results: readonly RoundResult[], name: Case): number {
  const ofCase = results.filter((result) => result.case === name);
  const variants = new Set(ofCase.map((result) => result.variant));
  return Math.max(
    ...[...variants].map((variant) =>
      median(ofCase.filter((result) => result.variant === variant).map((result) => result.tokensPerSecond)),
    ),
  );
}
