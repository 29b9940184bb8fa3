/**
 * Every setting of troupe, once: its name, type, default, unit and sentence. Flags win over the environment (TROUPE_…), that over
 * `--config FILE`, that over config/default.yaml, that over the defaults here. Flag names are FastDeploy's where it has one, then vLLM's.
 */
import { z } from 'zod';
import { QUANTIZATIONS } from './checkpoint/quantization.ts';
import { bytes, clusterName, flag, integer, keys, names, origins, seconds, secondsOrMinusOne, text } from './config-fields.ts';
import { LOGPROBS_KINDS } from './core/sampling-params.ts';
import { earlyStopConfig } from './early-stop-config.ts';

export type SettingGroup = 'Model' | 'Server' | 'Batching and KV cache' | 'Parallelism' | 'Cluster' | 'Features' | 'Operation';

interface Setting<Schema extends z.ZodType> {
  readonly schema: Schema;
  /** `null` = chosen at start, as `doc` says. */
  readonly default: z.output<Schema> | null;
  readonly group: SettingGroup;
  /** What --help calls the value; absent for switches. */
  readonly value?: string;
  /** The flag may be given several times: each adds to the list. */
  readonly isRepeatable?: boolean;
  /** Told nowhere: not in messages, not by --print-config, not to child processes. */
  readonly isSecret?: boolean;
  readonly doc: string;
}

const setting = <Schema extends z.ZodType>(entry: Setting<Schema>): Setting<Schema> => entry;

/** Keys are the TypeScript and YAML names; `--kebab-case` is the flag, `TROUPE_UPPER_CASE` the environment variable. */
export const SETTINGS = {
  model: setting({
    schema: text,
    default: null,
    group: 'Model',
    value: 'DIR|ID',
    doc: 'Hugging Face checkpoint folder, or a hub id already in the local cache. Default: the embedded troupe-mini.',
  }),
  servedModelName: setting({
    schema: names,
    default: null,
    group: 'Model',
    value: 'NAME[,NAME…]',
    doc: "Names the API answers to; any other name in a request is then refused. Default: the folder's name, and any name is served.",
  }),
  quantization: setting({
    schema: z.enum(QUANTIZATIONS, { error: 'must be none, wint8 or wint4' }),
    default: 'none',
    group: 'Model',
    value: 'none|wint8|wint4',
    doc: 'Weight-only quantisation, done once and cached on disk.',
  }),
  runner: setting({
    schema: z.enum(['auto', 'generate', 'pooling'], { error: 'must be auto, generate or pooling' }),
    default: 'auto',
    group: 'Model',
    value: 'auto|generate|pooling',
    doc: 'What the server answers: text (generate), embeddings and rewards (pooling), or all of it (auto).',
  }),
  maxModelLen: setting({
    schema: integer(1),
    default: null,
    group: 'Model',
    value: 'TOKENS',
    doc: "Longest prompt plus output. Default: the model's own, or what the KV cache can hold.",
  }),
  chatTemplate: setting({
    schema: text,
    default: null,
    group: 'Model',
    value: 'FILE|TEXT',
    doc: "Jinja template for chat prompts instead of the model's: a file, or the template itself.",
  }),
  reasoningParser: setting({
    schema: text,
    default: 'auto',
    group: 'Model',
    value: 'NAME',
    doc: 'How reasoning is told from content: qwen3, ernie-x1, ernie-45-vl-thinking, deepseek-r1, none, or auto = by the model.',
  }),
  toolCallParser: setting({
    schema: text,
    default: 'auto',
    group: 'Model',
    value: 'NAME',
    doc: 'How the model writes tool calls: hermes, ernie-x1, ernie-45-vl-thinking, llama3-json, mistral, deepseek, json, none, one of --tool-parser-plugin, or auto = by the model.',
  }),
  toolParserPlugin: setting({
    schema: text,
    default: null,
    group: 'Model',
    value: 'FILE',
    doc: 'ES module with further tool parsers, chosen by --tool-call-parser (docs/tools.md). Default: none.',
  }),
  host: setting({ schema: text, default: '127.0.0.1', group: 'Server', value: 'ADDRESS', doc: 'Address to listen on; 0.0.0.0 for all.' }),
  port: setting({
    schema: integer(0, 65535),
    default: 8188,
    group: 'Server',
    value: 'PORT',
    doc: 'Port to listen on; 0 picks a free one.',
  }),
  workers: setting({
    schema: integer(1, 64),
    default: 1,
    group: 'Server',
    value: 'N',
    doc: 'Frontend processes (HTTP, tokenizer, templates) on one port.',
  }),
  maxBodyBytes: setting({
    schema: bytes,
    default: 32 * 2 ** 20,
    group: 'Server',
    value: 'BYTES',
    doc: 'Largest request body; above it 413.',
  }),
  apiKey: setting({
    schema: keys,
    default: null,
    group: 'Server',
    value: 'KEY[,KEY…]',
    isRepeatable: true,
    isSecret: true,
    doc: 'Keys of which each request needs one, as "Authorization: Bearer KEY" or "x-api-key: KEY"; may be given several times. FD_API_KEY is read too. Default: none, everybody may use the server.',
  }),
  allowedOrigins: setting({
    schema: origins,
    default: null,
    group: 'Server',
    value: 'ORIGIN[,ORIGIN…]',
    isRepeatable: true,
    doc: "Web pages that may call the server from a browser (CORS): their origins, or * for all. Default: none but the server's own.",
  }),
  sslCertfile: setting({
    schema: text,
    default: null,
    group: 'Server',
    value: 'FILE',
    doc: 'Certificate chain, PEM: serves HTTPS. A renewed file is served within seconds, without a restart. Default: none, HTTP.',
  }),
  sslKeyfile: setting({
    schema: text,
    default: null,
    group: 'Server',
    value: 'FILE',
    doc: "The certificate's private key, PEM, without a passphrase. Default: in the file of --ssl-certfile.",
  }),
  uds: setting({
    schema: text,
    default: null,
    group: 'Server',
    value: 'PATH',
    doc: 'Unix socket to listen on instead of --host and --port; only for this user.',
  }),
  maxHeaderBytes: setting({
    schema: bytes,
    default: 16_384,
    group: 'Server',
    value: 'BYTES',
    doc: 'Largest headers of a request, together; above it 431.',
  }),
  maxConcurrency: setting({
    schema: integer(1),
    default: null,
    group: 'Server',
    value: 'REQUESTS',
    doc: 'Requests that may be answered at the same time; above it 429 with Retry-After. Default: no limit but the queue of --scheduler-max-size.',
  }),
  maxWaitingTime: setting({
    schema: secondsOrMinusOne,
    default: -1,
    group: 'Server',
    value: 'SECONDS',
    doc: 'How long a request above --max-concurrency waits for its turn before 429; -1 or 0 = not at all.',
  }),
  schedulerMaxSize: setting({
    schema: integer(1),
    default: 1024,
    group: 'Batching and KV cache',
    value: 'REQUESTS',
    doc: 'Requests that may wait; above it 429 with Retry-After.',
  }),
  maxNumSeqs: setting({
    schema: integer(1, 4096),
    default: 32,
    group: 'Batching and KV cache',
    value: 'N',
    doc: 'Sequences that run together.',
  }),
  maxNumBatchedTokens: setting({
    schema: integer(1),
    default: 256,
    group: 'Batching and KV cache',
    value: 'TOKENS',
    doc: 'Token budget of one engine step: decodes first, prefill chunks fill the rest.',
  }),
  blockSize: setting({
    schema: integer(1, 4096),
    default: 64,
    group: 'Batching and KV cache',
    value: 'TOKENS',
    doc: 'Tokens of one KV cache block.',
  }),
  kvCacheMemoryBytes: setting({
    schema: bytes,
    default: null,
    group: 'Batching and KV cache',
    value: 'BYTES',
    doc: 'Memory for keys and values, e.g. 2GiB. Default: what maxNumSeqs full sequences need, at most half of the free memory.',
  }),
  enablePrefixCaching: setting({
    schema: flag,
    default: true,
    group: 'Batching and KV cache',
    doc: 'Reuse the KV blocks of equal prompt beginnings.',
  }),
  enableChunkedPrefill: setting({ schema: flag, default: true, group: 'Batching and KV cache', doc: 'Split long prompts over steps.' }),
  tensorParallelSize: setting({
    schema: integer(1),
    default: 1,
    group: 'Parallelism',
    value: 'N',
    doc: 'Ranks that share one copy of the model, each a thread with its part of the weights and of --threads.',
  }),
  dataParallelSize: setting({
    schema: integer(1, 64),
    default: 1,
    group: 'Parallelism',
    value: 'N',
    doc: 'Engines on this machine, each with the whole model; they share its cores and memory.',
  }),
  nnodes: setting({
    schema: integer(1, 64),
    default: 1,
    group: 'Parallelism',
    value: 'N',
    doc: 'Machines, or servers, over which the ranks of --tensor-parallel-size are spread evenly.',
  }),
  nodeRank: setting({
    schema: integer(0, 63),
    default: 0,
    group: 'Parallelism',
    value: 'K',
    doc: 'Which of them this is; 0 answers requests, the others compute for it.',
  }),
  masterAddress: setting({
    schema: text,
    default: null,
    group: 'Parallelism',
    value: 'HOST:PORT|nats:NAME',
    doc: 'Where node 0 waits for the others: an address of its own, or a name on the servers of --nats, which is slower. Default with --ips: the first of them, port 8300.',
  }),
  ips: setting({
    schema: names,
    default: null,
    group: 'Parallelism',
    value: 'IP,IP…',
    doc: 'Addresses of all nodes, node 0 first: instead of --nnodes, --node-rank and --master-address. Default: this machine only.',
  }),
  groupSecret: setting({
    schema: text,
    default: null,
    group: 'Parallelism',
    value: 'TEXT',
    isSecret: true,
    doc: 'What the nodes must agree on; better given as TROUPE_GROUP_SECRET. Default: none, any node is let in that has the same model.',
  }),
  nodeWaitSeconds: setting({
    schema: seconds,
    default: 600,
    group: 'Parallelism',
    value: 'SECONDS',
    doc: 'How long nodes wait for each other at the start.',
  }),
  collectiveTimeout: setting({
    schema: seconds,
    default: 2,
    group: 'Parallelism',
    value: 'SECONDS',
    doc: 'How long a rank waits for another in one exchange before the engine is started again.',
  }),
  device: setting({
    schema: z.enum(['cpu', 'webgpu', 'cuda'], { error: 'must be cpu, webgpu or cuda' }),
    default: 'cpu',
    group: 'Parallelism',
    value: 'cpu|webgpu|cuda',
    doc: 'Where the model runs.',
  }),
  threads: setting({
    schema: integer(1, 1024),
    default: null,
    group: 'Parallelism',
    value: 'N',
    doc: 'Threads of each engine. Default: the physical cores, shared among the engines.',
  }),
  nats: setting({
    schema: text,
    default: null,
    group: 'Cluster',
    value: 'URL[,URL…]|embedded',
    isSecret: true,
    doc: 'NATS servers through which the processes of several machines find each other, e.g. nats://10.0.0.1:4222; embedded = start a nats-server here. Default: none, this machine only.',
  }),
  natsUser: setting({ schema: text, default: null, group: 'Cluster', value: 'NAME', doc: 'User for the NATS servers. Default: none.' }),
  natsPassword: setting({
    schema: text,
    default: null,
    group: 'Cluster',
    value: 'PASSWORD',
    isSecret: true,
    doc: 'Its password; better given as TROUPE_NATS_PASSWORD.',
  }),
  natsNkeyFile: setting({
    schema: text,
    default: null,
    group: 'Cluster',
    value: 'FILE',
    doc: 'File with the seed of an nkey for the NATS servers, instead of user and password. Default: none.',
  }),
  natsTlsCa: setting({
    schema: text,
    default: null,
    group: 'Cluster',
    value: 'FILE',
    doc: "PEM of the authority that signed the NATS servers' certificates. Default: the system's.",
  }),
  natsTlsCert: setting({
    schema: text,
    default: null,
    group: 'Cluster',
    value: 'FILE',
    doc: 'PEM of the certificate that NATS servers ask for. Default: none.',
  }),
  natsTlsKey: setting({ schema: text, default: null, group: 'Cluster', value: 'FILE', doc: 'PEM of its private key. Default: none.' }),
  cluster: setting({
    schema: clusterName,
    default: 'default',
    group: 'Cluster',
    value: 'NAME',
    doc: 'Only processes of the same cluster hear each other.',
  }),
  nodeName: setting({
    schema: clusterName,
    default: null,
    group: 'Cluster',
    value: 'NAME',
    doc: "What this node is called in logs, metrics and by `troupe drain`. Default: the machine's name and the process number.",
  }),
  reusePort: setting({
    schema: flag,
    default: false,
    group: 'Cluster',
    doc: 'Share --port with other frontends of this machine, so that a new one listens before the old one is drained.',
  }),
  drainMigrateAfter: setting({
    schema: seconds,
    default: 10,
    group: 'Cluster',
    value: 'SECONDS',
    doc: 'How long a drained engine lets requests finish before they are moved to an equal engine, where there is one.',
  }),
  enableLogprob: setting({ schema: flag, default: true, group: 'Features', doc: 'Answer logprobs and top_logprobs.' }),
  maxLogprobs: setting({
    schema: integer(-1, 1_000_000),
    default: 20,
    group: 'Features',
    value: 'N',
    doc: 'Most alternatives a request may ask for with logprobs, top_logprobs or prompt_logprobs; -1 = no limit. Above it 400.',
  }),
  logprobsMode: setting({
    schema: z.enum(LOGPROBS_KINDS, { error: `must be one of ${LOGPROBS_KINDS.join(', ')}` }),
    default: 'raw_logprobs',
    group: 'Features',
    value: 'MODE',
    doc: 'What logprobs report: raw_logprobs (of the model), processed_logprobs (after penalties, bias, bans and temperature), raw_logits or processed_logits.',
  }),
  guidedDecodingBackend: setting({
    schema: z.enum(['auto', 'xgrammar', 'off'], { error: 'must be auto, xgrammar or off' }),
    default: 'auto',
    group: 'Features',
    value: 'auto|xgrammar|off',
    doc: 'What makes output match a schema, a grammar or a required tool call; auto = xgrammar, off = such requests get 400.',
  }),
  enableEarlyStop: setting({
    schema: flag,
    default: false,
    group: 'Features',
    doc: 'End a choice whose tokens have all been nearly certain for a long time: it repeats itself.',
  }),
  earlyStopConfig: setting({
    schema: earlyStopConfig,
    default: { enable_early_stop: false, strategy: 'repetition', window_size: 3000, threshold: 0.99 },
    group: 'Features',
    value: 'JSON',
    doc: 'How: {"strategy":"repetition","window_size":TOKENS,"threshold":PROBABILITY}; "enable_early_stop":true turns it on.',
  }),
  requestTimeout: setting({
    schema: seconds,
    default: 0,
    group: 'Operation',
    value: 'SECONDS',
    doc: 'Deadline of requests that name none: then 408, or an error event in a stream; 0 = no limit.',
  }),
  timeoutGracefulShutdown: setting({
    schema: seconds,
    default: 0,
    group: 'Operation',
    value: 'SECONDS',
    doc: 'How long running streams may take to finish after SIGTERM or Ctrl-C; 0 = no limit.',
  }),
  maxEngineRestarts: setting({
    schema: integer(0),
    default: 5,
    group: 'Operation',
    value: 'N',
    doc: 'Restarts of one process within 30 seconds before the server gives up.',
  }),
  engineWaitSeconds: setting({
    schema: seconds,
    default: 30,
    group: 'Operation',
    value: 'SECONDS',
    doc: 'How long a request waits while no engine serves, before 503.',
  }),
  cacheDir: setting({
    schema: text,
    default: null,
    group: 'Operation',
    value: 'DIR',
    doc: 'Where repacked weights are kept. Default: $XDG_CACHE_HOME/troupe or ~/.cache/troupe.',
  }),
  onnxruntimeLibrary: setting({
    schema: text,
    default: null,
    group: 'Operation',
    value: 'FILE',
    doc: 'ONNX Runtime library to load. Default: the one in the package.',
  }),
  logFormat: setting({
    schema: z.enum(['auto', 'text', 'json'], { error: 'must be auto, text or json' }),
    default: 'auto',
    group: 'Operation',
    value: 'auto|text|json',
    doc: 'auto = text for a terminal, JSON lines otherwise.',
  }),
  logLevel: setting({
    schema: z.enum(['debug', 'info', 'warn', 'error'], { error: 'must be debug, info, warn or error' }),
    default: 'info',
    group: 'Operation',
    value: 'LEVEL',
    doc: 'debug, info, warn or error.',
  }),
} as const;

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
