/** uWebSockets.js shares a port silently where the system allows it, so the supervisor first takes the port for itself. */
import { createServer } from 'node:net';
import { StartupError } from './core/errors.ts';
import { describeListenError } from './core/listen-error.ts';

/** The port itself, or a free one for 0. @throws StartupError when it is in use or not allowed. */
export async function probePort(host: string, port: number): Promise<number> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, exclusive: true }, resolve);
    });
  } catch (error) {
    throw new StartupError(describeListenError((error as NodeJS.ErrnoException).code, host, port), { cause: error });
  }
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : port;
}
