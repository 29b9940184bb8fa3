/** Reads the settings from flags, environment and files, and refuses what it does not know. */
import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { parse as parseYaml } from 'yaml';
import {
  type Config,
  FASTDEPLOY_VARIABLES,
  flagOf,
  isRepeatable,
  isSecret,
  isSwitch,
  SETTING_NAMES,
  SETTINGS,
  type SettingName,
  variableOf,
} from './config.ts';
import { StartupError } from './core/errors.ts';
import { IGNORED_FLAGS, UNAVAILABLE_FLAGS } from './fastdeploy-flags.ts';

export interface CommandLine {
  readonly config: Config;
  readonly positionals: readonly string[];
  /** One line each, for the log: flags that were accepted and do nothing. */
  readonly warnings: readonly string[];
  readonly action: 'run' | 'help' | 'version' | 'print-config';
}

interface Sources {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The project's config/default.yaml; may be missing. */
  readonly defaultFile: string;
}

/** Where a value came from, for messages: `--port`, `TROUPE_PORT`, `port in my.yaml`. */
interface Given {
  readonly value: unknown;
  readonly origin: string;
}

/**
 * Flags > environment > --config file > config/default.yaml > defaults.
 * @throws StartupError naming the setting, what is wrong with it, and for unknown names the nearest known one.
 */
export function readConfig({ args, env, defaultFile }: Sources): CommandLine {
  const flags = readFlags(args);
  const configFile = flags.configFile ?? env.TROUPE_CONFIG;
  const given = new Map<SettingName, Given>([
    ...(existsSync(defaultFile) ? readFile(defaultFile) : []),
    ...(configFile === undefined ? [] : readFile(configFile)),
    ...readEnvironment(env),
    ...flags.given,
  ]);
  const config: Record<string, unknown> = {};
  for (const name of SETTING_NAMES) config[name] = check(name, given.get(name));
  return { config: Object.freeze(config) as Config, positionals: flags.positionals, warnings: flags.warnings, action: flags.action };
}

function check(name: SettingName, given: Given | undefined): unknown {
  if (given === undefined || given.value === null || given.value === undefined) return SETTINGS[name].default;
  const result = SETTINGS[name].schema.safeParse(given.value);
  if (result.success) return result.data;
  const problem = `${given.origin} ${result.error.issues[0]?.message ?? 'is wrong'}`;
  throw new StartupError(isSecret(name) ? `${problem}.` : `${problem}, but it is ${JSON.stringify(given.value)}.`);
}

interface Flags {
  readonly given: readonly [SettingName, Given][];
  readonly configFile: string | undefined;
  readonly positionals: readonly string[];
  readonly warnings: readonly string[];
  readonly action: CommandLine['action'];
}

function readFlags(args: readonly string[]): Flags {
  const byFlag = new Map(SETTING_NAMES.map((name) => [flagOf(name), name]));
  const switches = ['help', 'version', 'print-config'];
  const options: Record<string, { type: 'string' | 'boolean'; short?: string; multiple?: boolean }> = {
    config: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
    version: { type: 'boolean' },
    'print-config': { type: 'boolean' },
  };
  for (const [flag, name] of byFlag) options[flag] = { type: isSwitch(name) ? 'boolean' : 'string' };
  for (const [flag, hasValue] of Object.entries(IGNORED_FLAGS)) options[flag] = { type: hasValue ? 'string' : 'boolean' };
  for (const [flag, { hasValue }] of Object.entries(UNAVAILABLE_FLAGS)) options[flag] = { type: hasValue ? 'string' : 'boolean' };
  // vLLM and FastDeploy accept --max_model_len for --max-model-len.
  const spelled = args.map((arg) => (arg.startsWith('--') ? arg.replace(/^[^=]+/, (flag) => flag.replaceAll('_', '-')) : arg));
  const { tokens, positionals } = parseArgs({ args: spelled, options, strict: false, allowNegative: true, tokens: true });

  const given = new Map<SettingName, Given>();
  const warnings: string[] = [];
  let configFile: string | undefined;
  let action: CommandLine['action'] = 'run';
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const positive = token.name.replace(/^no-/, '');
    const isNegated = token.rawName === `--no-${positive}` && !(token.name in options && token.name.startsWith('no-'));
    const flag = isNegated ? positive : token.name;
    const name = byFlag.get(flag);
    if (flag in IGNORED_FLAGS) warnings.push(`--${flag} has no meaning in troupe and is ignored.`);
    else if (flag in UNAVAILABLE_FLAGS) warnings.push(warnOrRefuse(flag, isNegated ? 'false' : token.value));
    else if (flag === 'config') configFile = required(token.rawName, token.value);
    else if (switches.includes(flag)) action = flag as CommandLine['action'];
    else if (name === undefined)
      throw new StartupError(`Unknown flag ${token.rawName}.${suggest(flag, [...Object.keys(options)], '--')} See --help.`);
    else if (isSwitch(name)) given.set(name, { value: token.value ?? !isNegated, origin: `--${flag}` });
    else {
      const value = required(token.rawName, token.value);
      const before = isRepeatable(name) ? given.get(name) : undefined;
      given.set(name, { value: before ? [before.value, value].flat() : value, origin: `--${flag}` });
    }
  }
  return { given: [...given], configFile, positionals, warnings, action };
}

/** @returns the warning for a value that asks for nothing. @throws StartupError for any other; the value may be a secret and is not told. */
function warnOrRefuse(flag: string, value: string | undefined): string {
  const { hasValue, neutral = [] } = UNAVAILABLE_FLAGS[flag]!;
  if (hasValue) required(`--${flag}`, value);
  if (value !== undefined && neutral.includes(value)) return `--${flag} ${value} changes nothing in this version and is ignored.`;
  const allowed = neutral.length === 0 ? '' : hasValue ? `, except as --${flag} ${neutral.join(' or ')}` : '';
  throw new StartupError(`--${flag} is not available in this version${allowed}; please start without it.`);
}

function required(flag: string, value: string | undefined): string {
  if (value === undefined) throw new StartupError(`${flag} needs a value. See --help.`);
  return value;
}

/** Variables that are not settings: the tests' oracle folder, the config file, and what the supervisor hands its children. */
const OTHER_VARIABLES = ['TROUPE_CONFIG', 'TROUPE_ORACLES', 'TROUPE_CHILD'];

function readEnvironment(env: Sources['env']): [SettingName, Given][] {
  const byVariable = new Map(SETTING_NAMES.map((name) => [variableOf(name), name]));
  const fastdeploy = Object.entries(FASTDEPLOY_VARIABLES).flatMap(([variable, name]): [SettingName, Given][] =>
    env[variable] ? [[name, { value: env[variable], origin: variable }]] : [],
  );
  const ours = Object.entries(env).flatMap(([variable, value]): [SettingName, Given][] => {
    if (!variable.startsWith('TROUPE_') || OTHER_VARIABLES.includes(variable) || value === undefined) return [];
    const name = byVariable.get(variable);
    if (name === undefined) throw new StartupError(`Unknown environment variable ${variable}.${suggest(variable, [...byVariable.keys()])}`);
    return [[name, { value, origin: variable }]];
  });
  return [...fastdeploy, ...ours];
}

function readFile(path: string): [SettingName, Given][] {
  let document: unknown;
  try {
    document = parseYaml(readFileSync(path, 'utf8')) ?? {};
  } catch (error) {
    throw new StartupError(`The config file ${path} cannot be read: ${(error as Error).message.split('\n')[0]}`);
  }
  if (typeof document !== 'object' || Array.isArray(document))
    throw new StartupError(`The config file ${path} must hold "key: value" lines.`);
  return Object.entries(document as object).map(([key, value]): [SettingName, Given] => {
    // FastDeploy's own config files spell keys in snake_case.
    const name = key.replace(/[_-]([a-z])/g, (_, letter: string) => letter.toUpperCase());
    if (!(name in SETTINGS)) throw new StartupError(`Unknown key "${key}" in ${path}.${suggest(name, SETTING_NAMES)}`);
    return [name as SettingName, { value, origin: `${key} in ${path}` }];
  });
}

function suggest(word: string, known: readonly string[], prefix = ''): string {
  let best = { name: '', distance: Number.POSITIVE_INFINITY };
  for (const name of known) {
    const distance = editDistance(word, name);
    if (distance < best.distance) best = { name, distance };
  }
  return best.distance <= Math.max(2, word.length / 3) ? ` Did you mean ${prefix}${best.name}?` : '';
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length]!;
}
