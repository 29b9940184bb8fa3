/** The parsers that the settings name, with those of the plugin file. */
import type { Config } from './config.ts';
import type { Logger } from './telemetry/logger.ts';
import { type ModelParsers, type ModelTraits, modelParsers } from './text/model-parsers.ts';
import { loadToolParserPlugin } from './tool-parser-plugin.ts';

type ParserSettings = Pick<Config, 'reasoningParser' | 'toolCallParser' | 'toolParserPlugin'>;

/** @throws StartupError for a name that there is not, and for a broken plugin. */
export async function checkParsers(settings: ParserSettings): Promise<void> {
  const unknownModel = { templateSource: '', hasToken: () => false, modelType: '' };
  await load(settings, unknownModel, () => {});
}

/** @throws StartupError as checkParsers does. */
export function loadParsers(settings: ParserSettings, traits: ModelTraits, log: Logger): Promise<ModelParsers> {
  return load(settings, traits, (message, error) => log.error({ err: error }, message));
}

async function load(
  settings: ParserSettings,
  traits: ModelTraits,
  onError: (message: string, error: unknown) => void,
): Promise<ModelParsers> {
  const { toolParserPlugin, ...names } = settings;
  const plugins = toolParserPlugin === null ? [] : await loadToolParserPlugin(toolParserPlugin, onError);
  return modelParsers(traits, { reasoningParser: names.reasoningParser, toolCallParser: names.toolCallParser, plugins });
}
