/** Settings of features, and for those who run the server. */
import { z } from 'zod';
import { flag, integer, seconds, text } from '../config-fields.ts';
import { LOGPROBS_KINDS } from '../core/sampling-params.ts';
import { earlyStopConfig } from '../early-stop-config.ts';
import { setting } from './setting.ts';

export const OPERATION = {
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
