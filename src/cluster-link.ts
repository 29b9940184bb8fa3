/** How the processes of a server find each other: through a folder on this machine, or through NATS servers. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { ChildLink } from './actors/child-main.ts';
import type { Log } from './actors/log.ts';
import type { ChildAssignment } from './child-assignment.ts';
import type { Config } from './config.ts';
import { StartupError } from './core/errors.ts';
import { systemClock } from './system-clock.ts';
import { LocalTransport } from './transport/local-transport.ts';
import { type NatsAuth, type NatsTransportOptions, parseServers } from './transport/nats-options.ts';
import type { NatsTransport } from './transport/nats-transport.ts';
import type { Transport } from './transport/transport.ts';

/** Plain data: the supervisor hands it to its children. */
export type NatsLink = Pick<NatsTransportOptions, 'servers' | 'cluster' | 'auth' | 'tls' | 'systemAuth'>;

/** Null = this machine only. @throws StartupError: settings that do not go together, files that cannot be read. */
export function natsLinkOf(config: Config): NatsLink | null {
  const { nats, natsUser, natsPassword, natsNkeyFile, natsTlsCa, natsTlsCert, natsTlsKey, cluster } = config;
  if (nats === null) {
    if (natsUser ?? natsPassword ?? natsNkeyFile ?? natsTlsCa ?? natsTlsCert ?? natsTlsKey)
      throw new StartupError('--nats-… settings need the address of the NATS servers: give it with --nats.');
    return null;
  }
  const auth = authOf(natsUser, natsPassword, natsNkeyFile);
  const tls = {
    ...(natsTlsCa !== null && { caFile: natsTlsCa }),
    ...(natsTlsCert !== null && { certFile: natsTlsCert }),
    ...(natsTlsKey !== null && { keyFile: natsTlsKey }),
  };
  return {
    servers: nats.split(',').map((server) => server.trim()),
    cluster,
    ...(auth && { auth }),
    ...(Object.keys(tls).length > 0 && { tls }),
  };
}

function authOf(user: string | null, password: string | null, nkeyFile: string | null): NatsAuth | null {
  if (nkeyFile !== null) {
    if (user ?? password) throw new StartupError('Give --nats-nkey-file or --nats-user, not both.');
    return { nkeySeed: readSeed(nkeyFile) };
  }
  if (user === null && password === null) return null;
  if (user === null || password === null) throw new StartupError('--nats-user and --nats-password (TROUPE_NATS_PASSWORD) go together.');
  return { user, password };
}

function readSeed(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new StartupError(`--nats-nkey-file ${file} cannot be read (${(error as NodeJS.ErrnoException).code}).`, { cause: error });
  }
}

/** What this node is called: two of them on one machine have different names. */
export function nodeNameOf({ nodeName }: Config): string {
  return (
    nodeName ??
    `${hostname()
      .replace(/[^A-Za-z0-9_-]/g, '-')
      .slice(0, 48)}-${process.pid}`
  );
}

/** For people: without credentials. */
export const describeLink = ({ servers, cluster }: NatsLink, node: string): string =>
  `${cluster} at ${parseServers(servers).label}, node ${node}`;

export interface TransportPlace {
  /** Where the processes of this machine find each other. */
  readonly directory: string;
  readonly nats: NatsLink | null;
}

/** Of a child process, which cannot do its work without it. @throws StartupError */
export async function openTransport(assignment: ChildAssignment, peerId: string, log: Log, link: ChildLink): Promise<Transport> {
  const { directory, nats, role, version, plan } = assignment;
  if (nats === null) return LocalTransport.open({ directory, peerId, clock: systemClock });
  const transport = await openNats(nats, peerId, log);
  transport.onFailed(({ message }) => link.report({ type: 'failed', exitCode: 1, message }));
  transport.announceService({
    name: `troupe-${role}`,
    version,
    description: `troupe ${role} of the cluster ${nats.cluster}`,
    startedAt: new Date(systemClock.now()).toISOString(),
    metadata: { role, model: plan.modelNames[0]!, peer: peerId },
  });
  return transport;
}

/** The client is loaded only where there is a broker. @throws StartupError */
export async function openNats(nats: NatsLink, peerId: string, log?: Log): Promise<NatsTransport> {
  const { NatsTransport } = await import('./transport/nats-transport.ts');
  return NatsTransport.open({ ...nats, peerId, clock: systemClock, ...(log && { log }) });
}
