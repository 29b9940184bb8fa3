/** --help and --print-config, both made from the one table in config.ts. */
import { type Config, flagOf, isSecret, isSwitch, SETTING_NAMES, SETTINGS, type SettingGroup, variableOf } from './config.ts';

const MAX_COLUMNS = 80;

export function helpText(version: string): string {
  const groups = new Map<SettingGroup, string[]>();
  for (const name of SETTING_NAMES) {
    const setting = SETTINGS[name];
    const flag = isSwitch(name) ? `--[no-]${flagOf(name)}` : `--${flagOf(name)} ${'value' in setting ? setting.value : ''}`;
    const fallback = setting.default === null || isSwitch(name) ? '' : ` Default: ${shown(setting.default)}.`;
    const state = isSwitch(name) ? ` Default: ${setting.default ? 'on' : 'off'}.` : '';
    const lines = groups.get(setting.group) ?? [];
    lines.push(`  ${flag.trimEnd()}\n${wrapped(`${setting.doc}${fallback}${state}`, 6)}`);
    groups.set(setting.group, lines);
  }
  return `troupe ${version}: an OpenAI-compatible LLM server

Usage: troupe [serve] [DIR|ID] [flags]
       troupe engine [DIR|ID] --nats URL [flags]     engines only
       troupe frontend [DIR|ID] --nats URL [flags]   frontends only
       troupe drain NAME --nats URL   lets an engine, frontend or node finish
       troupe run-batch -i FILE|URL -o FILE|URL [flags]

${[...groups].map(([group, lines]) => `${group}\n${lines.join('\n')}`).join('\n\n')}

Other
  --config FILE     Settings from a YAML file, keys as in config/default.yaml.
  --print-config    Print the settings that would be used, and stop.
  --version, --help

${wrapped(`Each flag is also an environment variable, e.g. ${variableOf('maxModelLen')}; flags win over it, and it wins over files.`, 0)}
`;
}

const shown = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value).replaceAll(',', ', ') : String(value));

/** Lines of at most 80 columns; a word that is longer has a line of its own. */
function wrapped(paragraph: string, indent: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of paragraph.split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > MAX_COLUMNS) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((text) => ' '.repeat(indent) + text).join('\n');
}

/** YAML that can be used as a --config file. Secrets are not in it. */
export function printConfig(config: Config): string {
  const line = (name: (typeof SETTING_NAMES)[number]): string => {
    if (config[name] === null) return `${name}: null`;
    return isSecret(name) ? `# ${name}: set, and not told` : `${name}: ${JSON.stringify(config[name])}`;
  };
  return SETTING_NAMES.map(line).join('\n');
}
