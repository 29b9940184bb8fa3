/** A real server for one test: `troupe serve` from dist, on a free port, with its own process group, ended with the test. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { type ChildProcessInfo, childrenOf } from './child-processes.ts';
import { secureCall } from './https-client.ts';

export interface LogLine {
  readonly level?: string | number;
  readonly msg?: string;
  readonly [field: string]: unknown;
}

export class Server {
  readonly process: ChildProcess;
  readonly logs: LogLine[] = [];
  readonly stderr: string[] = [];
  readonly exited: Promise<number | null>;
  url = '';

  /**
   * @param args flags; before them another command than `serve` may stand.
   * @param prefix what runs it, e.g. in another network namespace.
   */
  constructor(args: readonly string[], env: Record<string, string> = {}, prefix: readonly string[] = []) {
    const [command, ...flags] = args[0] === 'engine' || args[0] === 'frontend' ? args : ['serve', ...args];
    // A server that is killed leaves its sockets behind: in a folder of its own, which goes with it.
    const temporary = mkdtempSync(join(tmpdir(), 'troupe-test-'));
    const [program, ...words] = [
      ...prefix,
      process.execPath,
      'scripts/troupe.mjs',
      command!,
      '--port',
      '0',
      '--log-format',
      'json',
      ...flags,
    ];
    this.process = spawn(program!, words, {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, TMPDIR: temporary, ...env },
    });
    this.exited = once(this.process, 'exit').then(([code]) => {
      rmSync(temporary, { recursive: true, force: true, maxRetries: 3 });
      return code as number | null;
    });
    createInterface({ input: this.process.stdout! }).on('line', (line) => this.logs.push(parse(line)));
    createInterface({ input: this.process.stderr! }).on('line', (line) => this.stderr.push(line));
  }

  /** The first log line with this `msg`, already written or still to come. Fails when the server exits before it. */
  async logged(msg: string, after = 0): Promise<LogLine> {
    for (;;) {
      const line = this.logs.slice(after).find((entry) => entry.msg === msg);
      if (line) return line;
      await this.tick(`waiting for the log line "${msg}"`);
    }
  }

  async listening(): Promise<this> {
    this.url = String((await this.logged('listening')).address);
    return this;
  }

  async ready(): Promise<this> {
    await this.listening();
    while ((await this.status('/ready')) !== 200) await this.tick('waiting for /ready');
    return this;
  }

  /** HTTP status of a GET, 0 when nobody listens. */
  async status(path: string): Promise<number> {
    try {
      if (!this.url.startsWith('http:')) return await this.#secureStatus(path);
      const reply = await fetch(this.url + path);
      await reply.arrayBuffer();
      return reply.status;
    } catch {
      return 0;
    }
  }

  /** Over TLS, whatever the certificate, or a Unix socket. */
  async #secureStatus(path: string): Promise<number> {
    const socketPath = /^unix:(.*)/.exec(this.url)?.[1];
    const [base, options] = socketPath ? ['http://localhost', { socketPath }] : [this.url, { rejectUnauthorized: false }];
    return (await secureCall(base + path, options)).status;
  }

  /** The supervisor's children, with the titles they give themselves (`troupe engine-0`). */
  children(): ChildProcessInfo[] {
    return childrenOf(this.process.pid!);
  }

  /** Null while there is none. */
  pidOf(role: 'engine' | 'frontend'): number | null {
    return this.children().find(({ title }) => title.includes(`troupe ${role}`))?.pid ?? null;
  }

  pidsOf(role: 'engine' | 'frontend'): number[] {
    return this.children()
      .filter(({ title }) => title.includes(`troupe ${role}`))
      .map(({ pid }) => pid);
  }

  /** kill -9 on the process of this role, which must be there. */
  killProcess(role: 'engine' | 'frontend'): number {
    const pid = this.pidOf(role);
    if (pid === null) throw new Error(`no ${role} process among ${JSON.stringify(this.children())}`);
    process.kill(pid, 'SIGKILL');
    return pid;
  }

  async metrics(): Promise<Map<string, number>> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const values = new Map<string, number>();
    for (const line of text.split('\n')) {
      const match = /^([A-Za-z_:][\w:]*(?:\{[^}]*\})?) (\S+)/.exec(line);
      if (match) values.set(match[1]!, Number(match[2]));
    }
    return values;
  }

  /** Sum of the metric over its labels. */
  async metric(name: string): Promise<number> {
    let sum = 0;
    for (const [key, value] of await this.metrics()) if (key === name || key.startsWith(`${name}{`)) sum += value;
    return sum;
  }

  /** Memory of all processes, bytes: the sum of their resident sets. */
  memoryBytes(): number {
    const pids = [this.process.pid!, ...this.children().map(({ pid }) => pid)];
    let kibibytes = 0;
    for (const pid of pids) {
      kibibytes += Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
    }
    return kibibytes * 1024;
  }

  warnings(): LogLine[] {
    return this.logs.filter(({ level }) => level === 'warn' || level === 'error' || level === 'fatal' || Number(level) >= 40);
  }

  /** Ends every process of the server at once. */
  kill(): void {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return; // its children end with it
    for (const child of this.children()) tryKill(child.pid);
    tryKill(this.process.pid!);
  }

  /** Lets the output arrive; throws when the server is gone. */
  async tick(what: string): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) {
      throw new Error(
        `the server exited (${this.process.exitCode ?? this.process.signalCode}) while ${what}:\n${this.stderr.join('\n')}\n${JSON.stringify(this.logs.slice(-5))}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Starts a server that is ended with the test. */
export function startServer(
  t: TestContext,
  args: readonly string[] = [],
  env: Record<string, string> = {},
  prefix: readonly string[] = [],
): Server {
  const server = new Server(args, env, prefix);
  t.after(async () => {
    server.kill();
    await server.exited;
  });
  return server;
}

/** Runs `troupe` to its end; for start-up errors. */
export async function runTroupe(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, ['scripts/troupe.mjs', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  const read = async (stream: NodeJS.ReadableStream): Promise<string> => {
    let text = '';
    for await (const chunk of stream) text += String(chunk);
    return text;
  };
  const [stdout, stderr, [code]] = await Promise.all([read(child.stdout), read(child.stderr), once(child, 'exit')]);
  return { code: code as number | null, stdout, stderr };
}

function parse(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { msg: line };
  }
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // already gone
  }
}
