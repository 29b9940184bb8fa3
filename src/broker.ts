/** `--nats embedded`: a nats-server of this machine's own, a child like the others. */
import { randomBytes } from 'node:crypto';
import { accessSync, constants, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ChildSpec } from './actors/supervisor.ts';
import { BROKER_VARIABLE, type BrokerAssignment } from './broker-assignment.ts';
import type { NatsLink } from './cluster-link.ts';
import { StartupError } from './core/errors.ts';
import { probePort } from './free-port.ts';

const HOST = '127.0.0.1';

/** @throws StartupError when no nats-server is installed. */
export async function planBroker(directory: string, cluster: string): Promise<{ readonly link: NatsLink; readonly child: ChildSpec }> {
  const executable = findExecutable('nats-server');
  if (executable === null) {
    throw new StartupError(
      '--nats embedded needs nats-server, which is not installed: on Debian, apt-get install nats-server; or give the address of one with --nats nats://HOST:PORT.',
    );
  }
  const port = await probePort(HOST, 0);
  const auth = { user: 'troupe', password: randomBytes(16).toString('hex') };
  const systemAuth = { user: 'system', password: randomBytes(16).toString('hex') };
  const configFile = join(directory, 'nats.conf');
  writeFileSync(configFile, configuration(port, auth, systemAuth), { mode: 0o600 });
  const assignment: BrokerAssignment = { executable, configFile, pidFile: join(directory, 'nats.pid') };
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  const child: ChildSpec = {
    name: 'broker',
    role: 'broker',
    launch: () => ({
      modulePath: fileURLToPath(new URL(`./broker-process${extension}`, import.meta.url)),
      env: { [BROKER_VARIABLE]: JSON.stringify(assignment) },
    }),
  };
  return { link: { servers: [`nats://${HOST}:${port}`], cluster, auth, systemAuth }, child };
}

interface User {
  readonly user: string;
  readonly password: string;
}

/** The second account is told of every connection that ends, so that a death is known within milliseconds. */
function configuration(port: number, user: User, system: User): string {
  const listed = ({ user: name, password }: User): string => `users: [{ user: ${name}, password: "${password}" }]`;
  return [
    `listen: "${HOST}:${port}"`,
    'max_payload: 1MB',
    'ping_interval: "10s"',
    `accounts: { TROUPE: { ${listed(user)} }, SYS: { ${listed(system)} } }`,
    'system_account: SYS',
    '',
  ].join('\n');
}

function findExecutable(name: string): string | null {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/bin'].filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name)).find(isExecutable) ?? null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
