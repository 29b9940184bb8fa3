/** Reasoning parsers by name: those of `--reasoning-parser`, and the one that a model needs by itself. */
import { StartupError } from '../../core/errors.ts';
import type { ModelTraits } from '../model-parsers.ts';
import { ERNIE_X1 } from './ernie-x1.ts';
import type { ReasoningDialect } from './reasoning-parser.ts';
import { DEEPSEEK_R1, ERNIE_45_VL_THINKING, QWEN3 } from './think-tags.ts';

const DIALECTS: readonly ReasoningDialect[] = [QWEN3, ERNIE_X1, ERNIE_45_VL_THINKING, DEEPSEEK_R1];

/**
 * @param name `auto` chooses by the model, `none` = no parser; `_` and `-` are equal.
 * @throws StartupError for an unknown name, with those there are.
 */
export function reasoningDialectNamed(name: string, traits: ModelTraits): ReasoningDialect | null {
  const wanted = name.trim().toLowerCase().replaceAll('_', '-');
  if (wanted === 'none') return null;
  if (wanted === 'auto') return reasoningDialectFor(traits);
  const dialect = DIALECTS.find((known) => known.name === wanted);
  if (dialect) return dialect;
  const names = DIALECTS.map((known) => known.name);
  throw new StartupError(`--reasoning-parser: there is no parser "${name}". Choose auto, none, ${names.join(', ')}.`);
}

/** Null = the model knows no reasoning. */
function reasoningDialectFor({ templateSource, hasToken, modelType }: ModelTraits): ReasoningDialect | null {
  if (!templateSource.includes('</think>') && !hasToken('</think>')) return null;
  if (!modelType.startsWith('ernie')) return QWEN3;
  if (templateSource.includes('<response>')) return ERNIE_X1;
  return /vl/.test(modelType) ? ERNIE_45_VL_THINKING : QWEN3;
}
