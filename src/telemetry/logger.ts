/** Logs: JSON lines for machines, aligned text for a person at a terminal. Prompts and generated text never go in. */
import pino, { type DestinationStream, type Logger } from 'pino';
import pretty from 'pino-pretty';
import type { FinishReason, Usage } from '../core/generation.ts';

export type { Logger } from 'pino';

export interface LoggerOptions {
  readonly format: 'json' | 'text';
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** Which process speaks: `supervisor`, `frontend`, `engine-0` … */
  readonly role: string;
  /** Standard output by default. */
  readonly destination?: DestinationStream;
}

/** Writes synchronously: the last line before a crash is there. */
export function createLogger({ format, level, role, destination }: LoggerOptions): Logger {
  const options = {
    level,
    base: { role, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  if (format === 'json') return pino(options, destination ?? pino.destination({ fd: 1, sync: true }));
  const text = pretty({
    colorize: process.stdout.isTTY && !process.env.NO_COLOR,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,role',
    messageFormat: '{role}: {msg}',
    singleLine: true,
    sync: true,
    ...(destination && { destination: destination as NodeJS.WritableStream & DestinationStream }),
  });
  return pino(options, text);
}

/** What the one log line of a generation request says. Durations in milliseconds. */
export interface RequestRecord {
  readonly requestId: string;
  readonly route: string;
  readonly stream: boolean;
  readonly numChoices: number;
  readonly usage: Usage;
  readonly ttftMs: number | null;
  readonly e2eMs: number;
  /** Of each choice that finished; `abort` when the client left, `error` when the request failed. */
  readonly finishReasons: readonly FinishReason[];
  /** Code of the failure. */
  readonly errorCode?: string;
}

export function logRequest(logger: Logger, record: RequestRecord): void {
  const { usage, ttftMs, e2eMs, finishReasons, errorCode, ...facts } = record;
  logger.info(
    {
      ...facts,
      promptTokens: usage.promptTokens,
      cachedTokens: usage.cachedTokens,
      completionTokens: usage.completionTokens,
      reasoningTokens: usage.reasoningTokens,
      ttftMs: ttftMs === null ? null : round(ttftMs),
      e2eMs: round(e2eMs),
      finishReason: [...new Set(finishReasons)].join(','),
      ...(errorCode !== undefined && { errorCode }),
    },
    'request',
  );
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10;
}
