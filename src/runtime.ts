/** Composition root of `troupe serve`, `frontend` and `engine`: plans, then supervises frontends and engines, each in a process of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { forkChild } from './actors/child-process.ts';
import { NodeDesk } from './actors/node-desk.ts';
import { type ChildSpec, createSupervisor } from './actors/supervisor.ts';
import { planBroker } from './broker.ts';
import { CHILD_VARIABLE, type ChildAssignment } from './child-assignment.ts';
import { describeLink, natsLinkOf, nodeNameOf, openNats } from './cluster-link.ts';
import type { Config } from './config.ts';
import { StartupError } from './core/errors.ts';
import { thisMachine } from './hardware.ts';
import { digestOf } from './http/api-keys.ts';
import { chooseAddress, type ListenAddress } from './listen-address.ts';
import { checkParsers } from './load-parsers.ts';
import { type Command, preflight } from './preflight.ts';
import { createStartupLog } from './startup-log.ts';
import { systemClock } from './system-clock.ts';
import { createLogger } from './telemetry/logger.ts';
import { isFollowerNode } from './tensor-nodes.ts';
import type { NatsTransport } from './transport/nats-transport.ts';

export interface ServeOptions {
  /** serve. */
  readonly command?: Command;
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
export async function serve({ command: asked = 'serve', config, version, embeddedModel, warnings, task }: ServeOptions): Promise<number> {
  // A node that computes for another one has no API of its own.
  const command = isFollowerNode(config) ? 'engine' : asked;
  // The keys stay in this process: its children get digests, and neither their environment nor the process list shows more.
  const apiKeyDigests = (config.apiKey ?? []).map(digestOf);
  hideSecrets(config);
  const plan = preflight({ ...config, apiKey: null, nats: null, natsPassword: null }, embeddedModel, process.env, thisMachine(), command);
  await checkParsers(config);
  const address = command === 'engine' ? NOWHERE : await chooseAddress(config);
  const logFormat = config.logFormat === 'auto' ? (process.stdout.isTTY ? 'text' : 'json') : config.logFormat;
  const logger = createLogger({ format: logFormat, level: config.logLevel, role: 'supervisor' });
  for (const warning of warnings) logger.warn(warning);

  const directory = mkdtempSync(join(tmpdir(), 'troupe-'));
  const broker = config.nats === 'embedded' ? await planBroker(directory, config.cluster) : null;
  const nats = broker?.link ?? natsLinkOf(config);
  const node = nodeNameOf(config);
  const startedAtSeconds = Math.floor(systemClock.now() / 1000);
  const common = { plan, directory, nats, port: address.port, version, logFormat, apiKeyDigests, startedAtSeconds } as const;
  const assigned = (role: 'engine' | 'frontend', count: number): ChildSpec[] =>
    Array.from({ length: count }, (_, index) => {
      const name = `${role}-${index}`;
      return child({ ...common, role, name, id: nats === null ? name : `${node}-${name}` });
    });
  const startupLog = createStartupLog({
    command,
    plan,
    version,
    address: address.url,
    curl: address.curl,
    cluster: nats === null ? undefined : describeLink(nats, node),
    logFormat: task ? 'json' : logFormat,
    logger,
  });
  let failure: string | null = null;
  let desk: NodeDesk | null = null;
  const supervisor = createSupervisor({
    // Stopped in reverse: frontends drain first, while the engines still serve them.
    children: [
      ...(broker ? [broker.child] : []),
      ...(command === 'frontend' ? [] : assigned('engine', config.dataParallelSize)),
      ...(command === 'engine' ? [] : assigned('frontend', config.workers)),
    ],
    clock: systemClock,
    random: Math.random,
    spawn: forkChild,
    restarts: { maxRestarts: config.maxEngineRestarts },
    drainGraceMs: config.timeoutGracefulShutdown === 0 ? null : config.timeoutGracefulShutdown * 1000,
    onEvent: (event) => {
      startupLog.tell(event);
      desk?.tell(event);
      if (event.type === 'ended') failure = event.message;
    },
  });
  const onSignal = (signal: 'SIGINT' | 'SIGTERM'): void => supervisor.shutdown(signal);
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  let transport: NatsTransport | null = null;
  const joinCluster = async (): Promise<void> => {
    transport = nats && (await openNats(nats, `${node}.${process.pid}`, logger));
    desk = transport && new NodeDesk({ transport, log: logger, node, supervisor });
  };
  try {
    if (!broker) await joinCluster(); // a wrong address or password is told before anything is started
    const started = supervisor.start();
    if (broker) joinCluster().catch((error: unknown) => logger.error({ error: String(error) }, 'operators cannot reach this node'));
    await started;
    // A server that ends before its task leaves that behind: it has nobody to ask any more.
    const done = task?.().finally(() => supervisor.shutdown('SIGTERM'));
    done?.catch(() => {}); // thrown below, when the processes have ended
    if (done) await Promise.race([done.catch(() => {}), supervisor.exited]);
    const code = await supervisor.exited;
    if (done && code === 0) await done;
    if (code === 2 && failure !== null) throw new StartupError(failure);
    return code;
  } finally {
    await (transport as NatsTransport | null)?.close();
    rmSync(directory, { recursive: true, force: true });
    if (config.uds !== null) rmSync(config.uds, { force: true });
  }
}

/** Engines need no address: they call out. */
const NOWHERE: ListenAddress = { port: 0, url: '', curl: '' };

function hideSecrets({ apiKey, nats, natsPassword }: Config): void {
  if (apiKey ?? nats ?? natsPassword) process.title = 'troupe serve';
  for (const name of ['TROUPE_API_KEY', 'FD_API_KEY', 'TROUPE_NATS', 'TROUPE_NATS_PASSWORD']) delete process.env[name];
}

/** An engine has nothing to bring to an end once its frontends are gone; one that does not obey is stuck. */
const ENGINE_STOP_DEADLINE_MS = 3000;

/**
 * V8's semi-space, MiB: half its default. Over ten rounds of 200 streams the memory of all processes then stays within 2 %, at the same
 * speed (367 → 356 MiB); at 1 MiB streams are promoted before they end, at 32 the heap drifts up by 9 %.
 */
const YOUNG_GENERATION_MB = 8;

/** As the wall clock was when this process started, and steady since: a successor is later than its predecessor whatever the wall clock does. */
const steadyTimeMs = (): number => Math.floor(performance.timeOrigin + systemClock.monotonic());

function child(assignment: Omit<ChildAssignment, 'launchedAtMs'>): ChildSpec {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  return {
    name: assignment.name,
    role: assignment.role,
    // Engines of a cluster work for the frontends of others, too.
    isDrained: assignment.role === 'frontend' || assignment.nats !== null,
    ...(assignment.role === 'engine' && { stopDeadlineMs: ENGINE_STOP_DEADLINE_MS }),
    launch: () => ({
      modulePath: fileURLToPath(new URL(`./child${extension}`, import.meta.url)),
      env: {
        [CHILD_VARIABLE]: JSON.stringify({ ...assignment, launchedAtMs: steadyTimeMs() }),
        NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --max-semi-space-size=${YOUNG_GENERATION_MB}`.trim(),
        // uWebSockets.js reads this once, when it is loaded.
        ...(assignment.role === 'frontend' && { UWS_HTTP_MAX_HEADERS_SIZE: String(assignment.plan.config.maxHeaderBytes) }),
      },
    }),
  };
}
