/** A real nats-server on a free port of this machine, ended with the test. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { probePort } from '../../src/free-port.ts';
import { temporaryFolder } from './checkpoint-folder.ts';

export interface NatsServerOptions {
  /** Lines of its configuration file besides the port. */
  readonly config?: string;
  /** Where it listens: 127.0.0.1. */
  readonly host?: string;
}

/** Any free port. */
export const freePort = (): Promise<number> => probePort('127.0.0.1', 0);

/** Started and ready. */
export async function startNatsServer(t: TestContext, options: NatsServerOptions = {}): Promise<NatsServer> {
  for (let attempt = 1; ; attempt++) {
    const server = new NatsServer(await freePort(), options.config ?? '', temporaryFolder(t), options.host);
    t.after(() => server.kill());
    try {
      await server.start();
      return server;
    } catch (error) {
      if (attempt === 5 || !String(error).includes('address already in use')) throw error; // somebody took the port meanwhile
    }
  }
}

/** Servers that know each other. */
export async function startNatsCluster(t: TestContext, numServers: number): Promise<NatsServer[]> {
  const ports = await Promise.all(Array.from({ length: numServers }, freePort));
  const routes = ports.map((port) => `nats-route://127.0.0.1:${port}`).join(', ');
  const servers = await Promise.all(
    ports.map((port, index) =>
      startNatsServer(t, { config: `server_name: n${index}\ncluster { name: test, listen: "127.0.0.1:${port}", routes: [${routes}] }` }),
    ),
  );
  await Promise.all(servers.map((server) => server.logged(numServers > 1 ? /Route connection created/ : /ready/)));
  return servers;
}

export class NatsServer {
  readonly port: number;
  readonly #host: string;
  readonly #configFile: string;
  readonly #lines: string[] = [];
  readonly #watchers = new Set<() => void>();
  #child: ChildProcess | null = null;

  constructor(port: number, config: string, folder: string, host = '127.0.0.1') {
    this.port = port;
    this.#host = host;
    this.#configFile = join(folder, 'nats.conf');
    this.configure(config);
  }

  /** Takes effect at the next start. */
  configure(config: string): void {
    writeFileSync(this.#configFile, `listen: "${this.#host}:${this.port}"\n${config}\n`);
  }

  get url(): string {
    return `nats://${this.#host}:${this.port}`;
  }

  /** kill -9 if it still runs, then ready again on the same port. */
  async restart(): Promise<void> {
    await this.kill();
    await this.start();
  }

  async start(): Promise<void> {
    const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` }; // where Debian puts it
    const child = spawn('nats-server', ['-c', this.#configFile], { stdio: ['ignore', 'ignore', 'pipe'], env });
    this.#child = child;
    this.#lines.length = 0;
    createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', (line) => {
      this.#lines.push(line);
      for (const check of this.#watchers) check();
    });
    const failed = once(child, 'exit').then(() => Promise.reject(new Error(`nats-server ended: ${this.#lines.join('\n')}`)));
    failed.catch(() => {});
    await Promise.race([this.logged(/Server is ready/), failed, once(child, 'error').then(([error]) => Promise.reject(error))]);
  }

  /** Resolves when a line of its log since the last start matches. */
  logged(pattern: RegExp): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!this.#lines.some((line) => pattern.test(line))) return;
        this.#watchers.delete(check);
        resolve();
      };
      this.#watchers.add(check);
      check();
    });
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  /** kill -9; resolves when it is dead. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const dead = once(child, 'exit');
    child.kill('SIGKILL');
    await dead;
  }
}
