/** A troupe server of the bench's own: started on a free port, waited for, stopped at the end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { getStatus } from './streaming-client.ts';

const TROUPE = fileURLToPath(new URL('../scripts/troupe.mjs', import.meta.url));
const POLL_MS = 100;
const KEPT_LOG_CHARACTERS = 4000;

export interface SpawnedServer {
  readonly url: URL;
  /** SIGTERM, then waits for the exit. */
  stop(): Promise<void>;
}

/**
 * Resolves once `/ready` answers 200.
 * @throws Error with the end of the server's log when it exits first or takes longer than `readyTimeoutMs`.
 */
export async function spawnServer(flags: readonly string[], readyTimeoutMs: number): Promise<SpawnedServer> {
  const port = await freePort();
  const child = spawn(process.execPath, [TROUPE, 'serve', '--port', String(port), '--log-format', 'json', ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const logTail = keepTail(child);
  const killIt = () => child.kill('SIGTERM');
  process.once('exit', killIt);
  const stop = async () => {
    process.off('exit', killIt);
    killIt();
    await exit;
  };
  const url = new URL(`http://127.0.0.1:${port}`);
  const deadline = performance.now() + readyTimeoutMs;
  while ((await getStatus(new URL('/ready', url))) !== 200) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`The server exited (${child.exitCode ?? child.signalCode}):\n${logTail()}`);
    if (performance.now() > deadline) {
      await stop();
      throw new Error(`The server was not ready after ${readyTimeoutMs / 1000} s:\n${logTail()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return { url, stop };
}

function keepTail(child: ChildProcess): () => string {
  let tail = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      tail = (tail + text).slice(-KEPT_LOG_CHARACTERS);
    });
  }
  return () => tail.trim();
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => (typeof address === 'object' && address !== null ? resolve(address.port) : reject(new Error('No free port.'))));
    });
  });
}
