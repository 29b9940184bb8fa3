/**
 * A child process's end of supervision. Ctrl-C and process managers signal the whole process group, so children leave signals to the
 * supervisor and wait for its word; and they never outlive it: when its channel closes, whatever the reason, they end at once.
 */
import { StartupError } from '../core/errors.ts';
import type { FromChild, ToChild } from './process-messages.ts';

export interface ChildLink {
  /** After `failed` the process ends, with that exit code, as soon as the message is out. */
  report(message: FromChild): void;
  /**
   * Commands that came before are handed over now, in order; a `stop` that comes before any handler ends the process.
   * A handler that throws or rejects is a failure of this process.
   */
  onCommand(handler: (command: ToChild) => void | Promise<void>): void;
}

/**
 * To be called first in a supervised process. From then on an uncaught error is reported as a failure: exit code 2 for a StartupError.
 * @throws StartupError when the process was not started by a supervisor.
 */
export function superviseMe(): ChildLink {
  if (!process.send) throw new StartupError('This process is started by "troupe serve" and not by hand.');
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => {});
  process.on('disconnect', dieNow);
  if (!process.connected) dieNow();

  let handler: ((command: ToChild) => void | Promise<void>) | null = null;
  let early: ToChild[] = [];
  const report = (message: FromChild): void => {
    const isLast = message.type === 'failed';
    process.send?.(message, undefined, {}, () => isLast && process.exit(message.exitCode));
  };
  const fail = (error: unknown): void => {
    const isExpected = error instanceof StartupError;
    if (!isExpected) process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    report({ type: 'failed', exitCode: isExpected ? 2 : 1, message: error instanceof Error ? error.message : String(error) });
  };
  const handle = async (command: ToChild): Promise<void> => {
    try {
      await handler?.(command);
    } catch (error) {
      fail(error);
    }
  };
  process.on('uncaughtException', fail);
  process.on('message', (command: ToChild) => {
    if (handler) void handle(command);
    else if (command.type === 'stop') process.exit(0);
    else early.push(command);
  });
  return {
    report,
    onCommand: (given) => {
      handler = given;
      for (const command of early) void handle(command);
      early = [];
    },
  };
}

/** No handlers, no flushing: nothing may hold up the end of a process that nobody watches. */
function dieNow(): void {
  process.kill(process.pid, 'SIGKILL');
}
