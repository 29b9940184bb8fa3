/** What a process needs to know of its broker, made into the client's options once. Credentials go in and never come out in a message. */
import { readFileSync } from 'node:fs';
import { type Authenticator, type NodeConnectionOptions, nkeyAuthenticator, nkeys } from '@nats-io/transport-node';
import type { Clock } from '../core/clock.ts';
import { StartupError } from '../core/errors.ts';

export type NatsAuth = { readonly user: string; readonly password: string } | { readonly nkeySeed: string } | { readonly token: string };

export interface NatsTls {
  /** PEM of the authority that signed the broker's certificate; absent = the system's. */
  readonly caFile?: string;
  /** PEM of this process's own certificate and key, where the broker asks for one. */
  readonly certFile?: string;
  readonly keyFile?: string;
}

export interface NatsLog {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

export interface NatsTransportOptions {
  /** `nats://HOST:PORT` or `tls://HOST:PORT`; several = servers of one NATS cluster. A URL may carry `USER:PASSWORD@` instead of `auth`. */
  readonly servers: readonly string[];
  /** Unique per start of a process; letters, digits, `_`, `-`, and `.` between them. */
  readonly peerId: string;
  readonly clock: Clock;
  /** Processes hear only those of the same cluster. Letters, digits, `_` and `-`. */
  readonly cluster: string;
  readonly auth?: NatsAuth;
  readonly tls?: NatsTls;
  /** A user of the broker's system account: deaths of processes are then known within milliseconds, without anybody telling. */
  readonly systemAuth?: NatsAuth;
  readonly log?: NatsLog;
  /** 32 MiB. */
  readonly maxMessageBytes?: number;
  /** How long `open` waits for a broker: 30 s. */
  readonly connectTimeoutMs?: number;
  /** How long `drain` waits for handlers that are still working: 5 s. */
  readonly drainTimeoutMs?: number;
  /** Bytes that the broker has not taken yet, per connection: 64 MiB, and never less than two of the longest messages. */
  readonly maxPendingBytes?: number;
  /** Bytes kept for the broker's return while there is no connection, per connection: 4 MiB. */
  readonly maxHeldBytes?: number;
}

export interface NatsServers {
  /** HOST:PORT. */
  readonly hosts: readonly string[];
  /** For people: without credentials. */
  readonly label: string;
  /** From the URLs. */
  readonly auth: NatsAuth | null;
  readonly isTls: boolean;
}

/** @throws StartupError */
export function parseServers(servers: readonly string[]): NatsServers {
  if (servers.length === 0) throw new StartupError('No NATS server was given: name one as nats://HOST:PORT.');
  const urls = servers.map((server) => parseServer(server));
  const withAuth = urls.find(({ username }) => username !== '');
  return {
    hosts: urls.map(({ hostname, port }) => `${hostname}:${port || 4222}`),
    label: urls.map(({ protocol, hostname, port }) => `${protocol}//${hostname}:${port || 4222}`).join(', '),
    auth: withAuth ? authOf(withAuth) : null,
    isTls: urls.some(({ protocol }) => protocol === 'tls:'),
  };
}

/** The client's options for one connection. @throws StartupError: a file cannot be read, or a seed is none. */
export function connectionOptions(options: NatsTransportOptions, auth: NatsAuth | undefined, name: string): NodeConnectionOptions {
  const { hosts, auth: authOfUrl, isTls } = parseServers(options.servers);
  const authenticator = auth ?? authOfUrl;
  const tls = tlsOptions(options.tls, isTls);
  return {
    servers: [...hosts],
    name,
    // The client's own defaults give up after ten attempts 2 s apart, and notice a dead path after 4 to 6 minutes.
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    reconnectJitter: 50,
    reconnectJitterTLS: 50,
    pingInterval: 5000,
    maxPingOut: 2,
    timeout: 5000,
    noAsyncTraces: true,
    // Two refusals in a row would end the connection for good, and a broker that starts under load refuses when a login takes it 2 s.
    ignoreAuthErrorAbort: true,
    ...(authenticator && authenticatorOf(authenticator)),
    ...(tls && { tls }),
  };
}

function parseServer(server: string): URL {
  const withScheme = /^[a-z]+:\/\//i.test(server) ? server : `nats://${server}`;
  const withoutCredentials = server.replace(/^([a-z]+:\/\/)?[^/]*@/i, '$1');
  if (!URL.canParse(withScheme))
    throw new StartupError(`"${withoutCredentials}" is not the address of a NATS server: write nats://HOST:PORT.`);
  const url = new URL(withScheme);
  if (!['nats:', 'tls:'].includes(url.protocol) || url.hostname === '' || !['', '/'].includes(url.pathname))
    throw new StartupError(`"${withoutCredentials}" is not the address of a NATS server: write nats://HOST:PORT or tls://HOST:PORT.`);
  return url;
}

/** As NATS's own tools do: a user without a password is a token. */
function authOf({ username, password }: URL): NatsAuth {
  const user = decodeURIComponent(username);
  return password === '' ? { token: user } : { user, password: decodeURIComponent(password) };
}

function authenticatorOf(auth: NatsAuth): Pick<NodeConnectionOptions, 'user' | 'pass' | 'token' | 'authenticator'> {
  if ('user' in auth) return { user: auth.user, pass: auth.password };
  if ('token' in auth) return { token: auth.token };
  return { authenticator: nkey(auth.nkeySeed) };
}

function nkey(seed: string): Authenticator {
  const bytes = new TextEncoder().encode(seed.trim());
  try {
    nkeys.fromSeed(bytes);
  } catch {
    throw new StartupError('The nkey seed for the NATS server is none: a user\'s seed begins with "SU" and has 58 characters.');
  }
  return nkeyAuthenticator(bytes);
}

function tlsOptions(tls: NatsTls | undefined, isTls: boolean): NatsTls | null {
  if (!tls) return isTls ? {} : null;
  if ((tls.certFile === undefined) !== (tls.keyFile === undefined))
    throw new StartupError('A certificate for the NATS server needs its key and a key its certificate: give both files or none.');
  for (const file of [tls.caFile, tls.certFile, tls.keyFile]) if (file !== undefined) checkReadable(file);
  return tls;
}

function checkReadable(file: string): void {
  try {
    readFileSync(file);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? 'unknown reason';
    throw new StartupError(`${file}, for TLS to the NATS server, cannot be read (${reason}).`, { cause: error });
  }
}
