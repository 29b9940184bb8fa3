/** The certificate and key of HTTPS: checked before they are used, and watched, so that a renewed one is served without a restart. */
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { StartupError } from '../core/errors.ts';

export interface TlsFiles {
  /** PEM: the certificate, followed by those between it and the authority's. */
  readonly certFile: string;
  /** PEM, without a passphrase. May be the same file. */
  readonly keyFile: string;
}

/** @throws StartupError in one line when the files are missing, are not PEM, or do not belong to each other. */
export function checkTlsFiles({ certFile, keyFile }: TlsFiles): void {
  const cert = read(certFile, '--ssl-certfile');
  const key = read(keyFile, '--ssl-keyfile');
  if (!cert.includes('-----BEGIN CERTIFICATE-----')) throw new StartupError(`--ssl-certfile ${certFile} holds no certificate in PEM form.`);
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(key)) throw new StartupError(`--ssl-keyfile ${keyFile} holds no private key in PEM form.`);
  if (/ENCRYPTED/.test(key)) throw new StartupError(`The key in --ssl-keyfile ${keyFile} has a passphrase: give one without.`);
  try {
    createSecureContext({ cert, key });
  } catch (cause) {
    const problem = (cause as Error).message;
    throw new StartupError(
      /key values mismatch|key type mismatch/i.test(problem)
        ? `The key in ${keyFile} does not belong to the certificate in ${certFile} (--ssl-keyfile, --ssl-certfile).`
        : `The certificate in ${certFile} or the key in ${keyFile} cannot be used: ${problem.split('\n')[0]}`,
      { cause },
    );
  }
}

function read(path: string, flag: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new StartupError(`${flag} ${path} cannot be read (${(cause as NodeJS.ErrnoException).code}).`, { cause });
  }
}

/** Renewals come once in weeks; what counts is that nobody has to think of them. */
const WATCH_INTERVAL_MS = 2000;

export interface TlsWatch {
  /** Called when the files have changed and can be used. */
  readonly onRenewed: () => void | Promise<void>;
  /** Called once for each state of the files that cannot be used: a certificate whose key is still to be written, for example. */
  readonly onProblem: (message: string) => void;
  readonly intervalMs?: number;
}

/** Looks at the files now and then, links followed: secrets that are mounted are exchanged by a link. @returns what ends it. */
export function watchTlsFiles(files: TlsFiles, { onRenewed, onProblem, intervalMs = WATCH_INTERVAL_MS }: TlsWatch): () => void {
  let seen = stateOf(files);
  const timer = setInterval(() => {
    const state = stateOf(files);
    if (state === seen) return;
    seen = state;
    void renew();
  }, intervalMs);
  timer.unref();
  const renew = async (): Promise<void> => {
    try {
      checkTlsFiles(files);
      await onRenewed();
    } catch (error) {
      onProblem(error instanceof Error ? error.message : String(error));
    }
  };
  return () => clearInterval(timer);
}

function stateOf({ certFile, keyFile }: TlsFiles): string {
  return [certFile, keyFile]
    .map((path) => {
      const stat = statSync(path, { throwIfNoEntry: false });
      return stat ? `${stat.ino} ${stat.size} ${stat.mtimeMs}` : 'none';
    })
    .join(', ');
}
