/** Composition root of `troupe serve`: plans, then supervises the frontends and the engine, each in a process of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { forkChild } from './actors/child-process.ts';
import { type ChildSpec, createSupervisor } from './actors/supervisor.ts';
import { CHILD_VARIABLE, type ChildAssignment } from './child-assignment.ts';
import type { Config } from './config.ts';
import { StartupError } from './core/errors.ts';
import { thisMachine } from './hardware.ts';
import { digestOf } from './http/api-keys.ts';
import { chooseAddress } from './listen-address.ts';
import { checkParsers } from './load-parsers.ts';
import { preflight } from './preflight.ts';
import { createStartupLog } from './startup-log.ts';
import { systemClock } from './system-clock.ts';
import { createLogger } from './telemetry/logger.ts';

export interface ServeOptions {
  readonly config: Config;
  readonly version: string;
  /** The model that is served when none is named. */
  readonly embeddedModel: string;
  /** Lines for the log. */
  readonly warnings: readonly string[];
  /** Begins when every process was ready once; the server stops in order when it is over, whatever becomes of it. */
  readonly task?: () => Promise<void>;
}

/**
 * Serves until it is told to stop. @returns the exit code.
 * @throws StartupError for everything that can be known before a process is started, or that a child reports in its first start.
 */
export async function serve({ config, version, embeddedModel, warnings, task }: ServeOptions): Promise<number> {
  // The keys stay in this process: its children get digests, and neither their environment nor the process list shows more.
  const apiKeyDigests = (config.apiKey ?? []).map(digestOf);
  if (config.apiKey) hideApiKeys();
  const plan = preflight({ ...config, apiKey: null }, embeddedModel, process.env, thisMachine());
  await checkParsers(config);
  const address = await chooseAddress(config);
  const logFormat = config.logFormat === 'auto' ? (process.stdout.isTTY ? 'text' : 'json') : config.logFormat;
  const logger = createLogger({ format: logFormat, level: config.logLevel, role: 'supervisor' });
  for (const warning of warnings) logger.warn(warning);

  const directory = mkdtempSync(join(tmpdir(), 'troupe-'));
  const startedAtSeconds = Math.floor(systemClock.now() / 1000);
  const common = { plan, directory, port: address.port, version, logFormat, apiKeyDigests, startedAtSeconds } as const;
  const startupLog = createStartupLog({
    plan,
    version,
    address: address.url,
    curl: address.curl,
    logFormat: task ? 'json' : logFormat,
    logger,
  });
  let failure: string | null = null;
  const supervisor = createSupervisor({
    // Stopped in reverse: frontends drain first, while the engine still serves them.
    children: [
      ...Array.from({ length: config.dataParallelSize }, (_, index) => child({ ...common, role: 'engine', id: `engine-${index}` })),
      ...Array.from({ length: config.workers }, (_, index) => child({ ...common, role: 'frontend', id: `frontend-${index}` })),
    ],
    clock: systemClock,
    random: Math.random,
    spawn: forkChild,
    restarts: { maxRestarts: config.maxEngineRestarts },
    drainGraceMs: config.timeoutGracefulShutdown === 0 ? null : config.timeoutGracefulShutdown * 1000,
    onEvent: (event) => {
      startupLog.tell(event);
      if (event.type === 'ended') failure = event.message;
    },
  });
  const onSignal = (signal: 'SIGINT' | 'SIGTERM'): void => supervisor.shutdown(signal);
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  try {
    await supervisor.start();
    // A server that ends before its task leaves that behind: it has nobody to ask any more.
    const done = task?.().finally(() => supervisor.shutdown('SIGTERM'));
    done?.catch(() => {}); // thrown below, when the processes have ended
    if (done) await Promise.race([done.catch(() => {}), supervisor.exited]);
    const code = await supervisor.exited;
    if (done && code === 0) await done;
    if (code === 2 && failure !== null) throw new StartupError(failure);
    return code;
  } finally {
    rmSync(directory, { recursive: true, force: true });
    if (config.uds !== null) rmSync(config.uds, { force: true });
  }
}

function hideApiKeys(): void {
  process.title = 'troupe serve';
  delete process.env.TROUPE_API_KEY;
  delete process.env.FD_API_KEY;
}

/** An engine has nothing to bring to an end once its frontends are gone; one that does not obey is stuck. */
const ENGINE_STOP_DEADLINE_MS = 3000;

/**
 * V8's semi-space, MiB: half its default. Over ten rounds of 200 streams the memory of all processes then stays within 2 %, at the same
 * speed (367 → 356 MiB); at 1 MiB streams are promoted before they end, at 32 the heap drifts up by 9 %.
 */
const YOUNG_GENERATION_MB = 8;

function child(assignment: ChildAssignment): ChildSpec {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  return {
    name: assignment.id,
    role: assignment.role,
    isDrained: assignment.role === 'frontend',
    ...(assignment.role === 'engine' && { stopDeadlineMs: ENGINE_STOP_DEADLINE_MS }),
    launch: () => ({
      modulePath: fileURLToPath(new URL(`./child${extension}`, import.meta.url)),
      env: {
        [CHILD_VARIABLE]: JSON.stringify(assignment),
        NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --max-semi-space-size=${YOUNG_GENERATION_MB}`.trim(),
        // uWebSockets.js reads this once, when it is loaded.
        ...(assignment.role === 'frontend' && { UWS_HTTP_MAX_HEADERS_SIZE: String(assignment.plan.config.maxHeaderBytes) }),
      },
    }),
  };
}
