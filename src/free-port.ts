/** uWebSockets.js shares a port silently where the system allows it, so the supervisor first takes the port for itself. */
import { createServer } from 'node:net';
import { StartupError } from './core/errors.ts';

/** The port itself, or a free one for 0. @throws StartupError when it is in use or not allowed. */
export async function probePort(host: string, port: number): Promise<number> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, exclusive: true }, resolve);
    });
  } catch (error) {
    throw new StartupError(describe(error as NodeJS.ErrnoException, host, port));
  }
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : port;
}

function describe(error: NodeJS.ErrnoException, host: string, port: number): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return `Port ${port} on ${host} is in use; stop what listens there or choose another with --port.`;
    case 'EACCES':
      return `Port ${port} on ${host} is not allowed for this user; choose one above 1023 with --port.`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `This machine has no address ${host}; --host takes one of its own, or 0.0.0.0 for all.`;
    default:
      return `Cannot listen on ${host}:${port}: ${error.message}.`;
  }
}
