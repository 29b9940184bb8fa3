/**
 * Every setting of troupe, once: its name, type, default, unit and sentence. Flags win over the environment (TROUPE_…), that over
 * `--config FILE`, that over config/default.yaml, that over the defaults here. Flag names are FastDeploy's where it has one, then vLLM's.
 */
import type { z } from 'zod';
import { BATCHING } from './settings/batching.ts';
import { OPERATION } from './settings/operation.ts';
import { PARALLELISM } from './settings/parallelism.ts';
import { SERVING } from './settings/serving.ts';

export type { SettingGroup } from './settings/setting.ts';

/** Keys are the TypeScript and YAML names; `--kebab-case` is the flag, `TROUPE_UPPER_CASE` the environment variable. */
export const SETTINGS = { ...SERVING, ...BATCHING, ...PARALLELISM, ...OPERATION } as const;

export type SettingName = keyof typeof SETTINGS;
type ValueOf<Name extends SettingName> = z.output<(typeof SETTINGS)[Name]['schema']>;
/** Settings whose default is chosen at start may be null until then. */
type ChosenAtStart =
  | 'apiKey'
  | 'allowedOrigins'
  | 'sslCertfile'
  | 'sslKeyfile'
  | 'uds'
  | 'maxConcurrency'
  | 'chatTemplate'
  | 'toolParserPlugin'
  | 'model'
  | 'servedModelName'
  | 'maxModelLen'
  | 'kvCacheMemoryBytes'
  | 'threads'
  | 'nats'
  | 'natsUser'
  | 'natsPassword'
  | 'natsNkeyFile'
  | 'natsTlsCa'
  | 'natsTlsCert'
  | 'natsTlsKey'
  | 'nodeName'
  | 'masterAddress'
  | 'ips'
  | 'groupSecret'
  | 'cacheDir'
  | 'onnxruntimeLibrary';
export type Config = { readonly [Name in SettingName]: Name extends ChosenAtStart ? ValueOf<Name> | null : ValueOf<Name> };

export const SETTING_NAMES = Object.keys(SETTINGS) as SettingName[];

/** `maxModelLen` → `max-model-len`. */
export const flagOf = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
/** `maxModelLen` → `TROUPE_MAX_MODEL_LEN`. */
export const variableOf = (name: string): string => `TROUPE_${flagOf(name).replaceAll('-', '_').toUpperCase()}`;
/** FastDeploy's variables for settings of ours; the TROUPE_ one wins. */
export const FASTDEPLOY_VARIABLES: Readonly<Record<string, SettingName>> = { FD_API_KEY: 'apiKey' };
export const isSecret = (name: SettingName): boolean => 'isSecret' in SETTINGS[name];
export const isRepeatable = (name: SettingName): boolean => 'isRepeatable' in SETTINGS[name];
/** Whether a setting is a switch (`--x` and `--no-x`). */
export const isSwitch = (name: SettingName): boolean => !('value' in SETTINGS[name]);
