/**
 * `troupe run-batch`: the server of `troupe serve` without a port, as long as a file of requests lasts. It listens on a Unix socket in
 * a folder of its own, so that nobody else can reach it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { type ServeOptions, serve } from '../runtime.ts';
import { openBatchFiles } from './batch-files.ts';
import type { BatchOptions } from './batch-options.ts';
import { type BatchCounts, runBatch } from './batch-run.ts';
import { sendToSocket, statusOfSocket } from './socket-client.ts';

/**
 * @returns 0 when every line was answered, 1 when some were not or the server gave up.
 * @throws StartupError for files that cannot be used and settings that cannot work.
 */
export async function batch(options: BatchOptions, server: ServeOptions): Promise<number> {
  const files = await openBatchFiles(options);
  const folder = mkdtempSync(join(tmpdir(), 'troupe-'));
  const uds = join(folder, 'batch.sock');
  const { config } = server;
  let counts: BatchCounts | null = null;
  try {
    const task = async (): Promise<void> => {
      await untilReady(uds);
      counts = await runBatch({
        ...files,
        parallelism: config.maxConcurrency ?? 2 * config.maxNumSeqs,
        send: (request) => sendToSocket(uds, request),
        ...(process.stderr.isTTY && { onProgress: showProgress }),
      });
    };
    const code = await serve({ ...server, config: quietConfig(config, uds), task });
    const result = counts as BatchCounts | null;
    if (result === null) return code === 0 ? 1 : code;
    await files.deliver();
    const { numDone, numFailed } = result;
    process.stderr.write(
      `${process.stderr.isTTY ? '\r' : ''}run-batch: ${numDone} lines, ${numDone - numFailed} answered, ${numFailed} failed\n`,
    );
    return numFailed === 0 ? code : 1;
  } finally {
    await files.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What concerns clients elsewhere has no meaning here; of the log, what is worth a thought stays. */
function quietConfig(config: Config, uds: string): Config {
  const edge = { uds, workers: 1, apiKey: null, allowedOrigins: null, sslCertfile: null, sslKeyfile: null, maxConcurrency: null };
  return { ...config, ...edge, logLevel: config.logLevel === 'info' ? 'warn' : config.logLevel };
}

const READY_INTERVAL_MS = 50;

async function untilReady(uds: string): Promise<void> {
  while ((await statusOfSocket(uds, '/ready')) !== 200) await new Promise((resolve) => setTimeout(resolve, READY_INTERVAL_MS));
}

function showProgress({ numDone, numFailed }: BatchCounts): void {
  process.stderr.write(`\r${numDone} lines done, ${numFailed} failed`);
}
