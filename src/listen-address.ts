/** Where the server listens: a port or a Unix socket, with or without TLS, checked before any process is started. */
import { lstatSync } from 'node:fs';
import { connect } from 'node:net';
import type { Config } from './config.ts';
import { StartupError } from './core/errors.ts';
import { probePort } from './free-port.ts';
import { checkTlsFiles, type TlsFiles } from './http/tls-files.ts';

export interface ListenAddress {
  /** 0 for a Unix socket. */
  readonly port: number;
  /** What a client on this machine uses: `http://127.0.0.1:8188`, `unix:/run/troupe.sock`. */
  readonly url: string;
  /** The same as the beginning of a command; the path follows. */
  readonly curl: string;
}

/** @throws StartupError, one line: port or socket in use, certificate and key that cannot be used. */
export async function chooseAddress(config: Config): Promise<ListenAddress> {
  const tls = tlsFilesOf(config);
  if (tls) checkTlsFiles(tls);
  const scheme = tls ? 'https' : 'http';
  const key = config.apiKey === null ? '' : " -H 'Authorization: Bearer KEY'";
  if (config.uds !== null) {
    await requireFreeSocket(config.uds, config.workers);
    return { port: 0, url: `unix:${config.uds}`, curl: `curl --unix-socket ${config.uds}${key} ${scheme}://localhost` };
  }
  const port = config.reusePort && config.port !== 0 ? config.port : await probePort(config.host, config.port);
  const { host } = config;
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  const url = `${scheme}://${name}:${port}`;
  return { port, url, curl: `curl${key} ${url}` };
}

/** Null = plain HTTP. @throws StartupError for a key without a certificate. */
export function tlsFilesOf({ sslCertfile, sslKeyfile }: Config): TlsFiles | null {
  if (sslCertfile !== null) return { certFile: sslCertfile, keyFile: sslKeyfile ?? sslCertfile };
  if (sslKeyfile !== null) throw new StartupError('--ssl-keyfile needs the certificate too: give it with --ssl-certfile.');
  return null;
}

/** The system's bound for a socket's path, which uWebSockets.js would cut silently. */
const MAX_SOCKET_PATH_BYTES = 107;

/** A socket that a dead server left may be replaced; anything else is somebody's. */
async function requireFreeSocket(path: string, workers: number): Promise<void> {
  if (workers > 1) throw new StartupError(`--uds serves one frontend process: leave out --workers ${workers}.`);
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    throw new StartupError(`--uds ${path} is longer than ${MAX_SOCKET_PATH_BYTES} bytes, the most that a socket's path may have.`);
  }
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw new StartupError(`--uds ${path} exists and is not a socket: choose another path.`);
  if (await answers(path)) throw new StartupError(`The socket ${path} is in use: stop what listens there, or choose another with --uds.`);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
