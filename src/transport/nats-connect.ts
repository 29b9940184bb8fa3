/** The first connection: waits for a broker that is not there yet, and says in one line what is wrong when waiting does not help. */
import { connect, errors, type NatsConnection, type NodeConnectionOptions } from '@nats-io/transport-node';
import type { Clock } from '../core/clock.ts';
import { StartupError } from '../core/errors.ts';
import type { NatsLog } from './nats-options.ts';

const RETRY_MS = 250;

export interface FirstConnection {
  readonly connection: NodeConnectionOptions;
  /** The servers, as people may see them. */
  readonly label: string;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly log?: NatsLog | undefined;
}

/** @throws StartupError: no broker within the time, wrong credentials, or a mistake about TLS. */
export async function connectFirst({ connection, label, clock, timeoutMs, log }: FirstConnection): Promise<NatsConnection> {
  const deadline = clock.monotonic() + timeoutMs;
  let hasTold = false;
  for (;;) {
    try {
      const connected = await connect({ ...connection, timeout: Math.max(1, Math.min(5000, deadline - clock.monotonic())) });
      await checkServer(connected, label);
      return connected;
    } catch (error) {
      if (error instanceof StartupError) throw error;
      const { message, isFinal } = describe(error, label, connection);
      const leftMs = deadline - clock.monotonic();
      if (isFinal) throw new StartupError(message, { cause: error });
      if (leftMs <= RETRY_MS) throw new StartupError(`${message} Gave up after ${timeoutMs / 1000} s.`, { cause: error });
      if (!hasTold) log?.warn({}, `${message} Waiting for it, for up to ${Math.ceil(leftMs / 1000)} s.`);
      hasTold = true;
      await new Promise<void>((resolve) => clock.setTimeout(resolve, RETRY_MS));
    }
  }
}

async function checkServer(connection: NatsConnection, label: string): Promise<void> {
  if (!connection.info || connection.info.headers) return; // without one it has just gone again, and will be back
  const { version } = connection.info;
  await connection.close();
  throw new StartupError(`The NATS server at ${label} is too old (${version}): 2.9.10 or newer is needed.`);
}

/** `isFinal`: it would be the same at the next try. */
function describe(
  error: unknown,
  label: string,
  connection: NodeConnectionOptions,
): { readonly message: string; readonly isFinal: boolean } {
  const code = codeOf(error) ?? codeOf((error as Error | null)?.cause) ?? '';
  const text = error instanceof Error ? error.message : String(error);
  const server = `The NATS server at ${label}`;
  if (error instanceof errors.AuthorizationError && !/timeout/i.test(text)) {
    const hasAuth = connection.user !== undefined || connection.token !== undefined || connection.authenticator !== undefined;
    const advice = hasAuth ? 'check user and password, token or nkey seed' : 'it asks for a user and password, a token or an nkey seed';
    return { message: `${server} refused the credentials: ${advice}.`, isFinal: true };
  }
  if (/does not support 'tls'|'tls' is not available/.test(text))
    return { message: `${server} does not speak TLS: leave TLS away, or turn it on there.`, isFinal: true };
  if (isCertificateError(code)) {
    const advice = connection.tls
      ? 'give the CA file that signed it, and the host name that stands in it'
      : 'it asks for TLS: give its CA file';
    return { message: `${server} has a certificate that is not trusted (${code}): ${advice}.`, isFinal: true };
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS') || code.startsWith('ERR_OSSL'))
    return { message: `TLS with the NATS server at ${label} failed (${code}): check the CA, certificate and key files.`, isFinal: true };
  if (error instanceof errors.TimeoutError || text === 'timeout') {
    const hint = connection.tls && !connection.tls.certFile ? ' It may ask for a client certificate, which was not given.' : '';
    return { message: `${server} does not answer.${hint}`, isFinal: false };
  }
  const reason =
    code === 'ENOTFOUND' || code === 'EAI_AGAIN'
      ? 'there is no such host'
      : text.replace(/^.*connection refused.*$/i, 'connection refused');
  return { message: `${server} cannot be reached (${reason || code || 'unknown reason'}).`, isFinal: false };
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | null | undefined)?.code;
const isCertificateError = (code: string): boolean =>
  /SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|CERT_|ALTNAME|ERR_TLS_CERT/.test(code) && !code.startsWith('ERR_SSL');
