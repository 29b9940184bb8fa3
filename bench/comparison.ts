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

export function compareCase(
  name: Case,
  quantization: string,
  measured: Readonly<Record<EngineName, readonly RoundResult[]>>,
): ComparisonRow {
  const troupe = bestMedian(measured.troupe, name);
  const rival = bestMedian(measured['node-llama-cpp'], name);
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
