/** Processes as the supervisor sees them, and how real ones are made. */
import { fork } from 'node:child_process';
import type { FromChild, ToChild } from './process-messages.ts';

export interface LaunchOptions {
  /** The JavaScript (or, under tsx, TypeScript) file to run. */
  readonly modulePath: string;
  readonly args?: readonly string[];
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Why a process is over: an exit code, a signal, or (both null) a `reason` why there never was one. */
export interface ExitFacts {
  readonly code: number | null;
  readonly signal: string | null;
  readonly reason: string | null;
}

export interface ChildProcessPort {
  /** Null when it could not be started; `onExit` follows. */
  readonly pid: number | null;
  /** Lost without a word when the process is ending. */
  send(message: ToChild): void;
  /** SIGKILL. */
  kill(): void;
  onMessage(handler: (message: FromChild) => void): void;
  /** Its channel closed: it is ending, or no longer obeys. */
  onDisconnect(handler: () => void): void;
  /** Called once, after everything else. */
  onExit(handler: (exit: ExitFacts) => void): void;
}

export type SpawnChild = (launch: LaunchOptions) => ChildProcessPort;

/** A Node process with an IPC channel, our own stdout and stderr, and this process's Node options. */
export const forkChild: SpawnChild = ({ modulePath, args = [], env = {} }) => {
  const child = fork(modulePath, args, {
    serialization: 'json',
    execArgv: process.execArgv,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // A process group of its own: Ctrl-C would otherwise end a child that has not yet come so far as to ignore it.
    detached: true,
  });
  let onExit: (exit: ExitFacts) => void = () => {};
  child.on('error', (error) => {
    // Also emitted for a message or a signal that came too late; then the exit tells more.
    if (child.pid === undefined) onExit({ code: null, signal: null, reason: error.message });
  });
  child.once('exit', (code, signal) => {
    if (child.pid !== undefined) onExit({ code, signal, reason: null });
  });
  return {
    pid: child.pid ?? null,
    send: (message) => {
      if (child.connected) child.send(message, () => {});
    },
    kill: () => void child.kill('SIGKILL'),
    onMessage: (handler) => void child.on('message', (message) => handler(message as FromChild)),
    onDisconnect: (handler) => void child.on('disconnect', handler),
    onExit: (handler) => {
      onExit = handler;
    },
  };
};
