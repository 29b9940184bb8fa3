/** Tool parsers by name: those of `--tool-call-parser`, those that a plugin adds, and the one that a model needs by itself. */
import { StartupError } from '../../core/errors.ts';
import type { ModelTraits } from '../model-parsers.ts';
import { DEEPSEEK } from './deepseek.ts';
import { ERNIE_45_VL_THINKING, ERNIE_X1, HERMES } from './hermes.ts';
import { JSON_CALLS } from './json.ts';
import { LLAMA3_JSON } from './llama3-json.ts';
import { MISTRAL } from './mistral.ts';
import type { ToolDialect } from './tool-parser.ts';

const DIALECTS: readonly ToolDialect[] = [HERMES, ERNIE_X1, ERNIE_45_VL_THINKING, LLAMA3_JSON, MISTRAL, DEEPSEEK, JSON_CALLS];

const ALIASES: Readonly<Record<string, string>> = {
  qwen: 'hermes',
  qwen25: 'hermes',
  'qwen2.5': 'hermes',
  qwen3: 'hermes',
  'deepseek-r1': 'deepseek',
  'deepseek-v3': 'deepseek',
  'deepseek-v3-0324': 'deepseek',
  'deepseek-v3.1': 'deepseek',
  'deepseek-v31': 'deepseek',
  llama: 'llama3-json',
  llama3: 'llama3-json',
  'llama4-json': 'llama3-json',
};

/**
 * @param name `auto` chooses by the model, `none` = no parser; `_` and `-` are equal.
 * @param plugins win over built-in ones of the same name.
 * @throws StartupError for an unknown name, with those there are.
 */
export function toolDialectNamed(name: string, traits: ModelTraits, plugins: readonly ToolDialect[] = []): ToolDialect | null {
  const wanted = normalized(name);
  const plugin = plugins.find((dialect) => normalized(dialect.name) === wanted);
  if (plugin) return plugin;
  if (wanted === 'none') return null;
  if (wanted === 'auto') return toolDialectFor(traits);
  const dialect = DIALECTS.find((known) => known.name === (ALIASES[wanted] ?? wanted));
  if (dialect) return dialect;
  const names = [...DIALECTS, ...plugins].map((known) => known.name);
  throw new StartupError(`--tool-call-parser: there is no parser "${name}". Choose auto, none, ${names.join(', ')}.`);
}

const normalized = (name: string): string => name.trim().toLowerCase().replaceAll('_', '-');

/** By the markers that the template writes for earlier calls, then by the vocabulary. Null = the model knows no tools. */
function toolDialectFor({ templateSource, hasToken, modelType }: ModelTraits): ToolDialect | null {
  const knows = (marker: string) => templateSource.includes(marker) || hasToken(marker);
  if (knows('[TOOL_CALLS]')) return MISTRAL;
  if (knows('<｜tool▁calls▁begin｜>')) return DEEPSEEK;
  if (knows('<tool_call>') && !templateSource.includes('<function=')) {
    if (!modelType.startsWith('ernie')) return HERMES;
    if (templateSource.includes('<response>')) return ERNIE_X1;
    return /vl/.test(modelType) ? ERNIE_45_VL_THINKING : HERMES;
  }
  return knows('<|python_tag|>') ? LLAMA3_JSON : null;
}
