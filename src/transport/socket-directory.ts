/**
 * The directory in which the processes of one machine find each other: one Unix socket per process, named after its peer id.
 * Only the owner may enter it, which is the access control of the local transport.
 */
import { chmod, lstat, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { StartupError } from '../core/errors.ts';

const SUFFIX = '.sock';
/** sockaddr_un's path on macOS; Linux has four bytes more. */
const MAX_PATH_BYTES = 103;

export class SocketDirectory {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Makes the directory if it is missing. @throws StartupError: it belongs to somebody else, or its path is too long for sockets. */
  static async open(path: string, peerId: string): Promise<SocketDirectory> {
    const socketPath = join(path, `${peerId}${SUFFIX}`);
    if (Buffer.byteLength(socketPath) > MAX_PATH_BYTES)
      throw new StartupError(
        `The socket path ${socketPath} has ${Buffer.byteLength(socketPath)} bytes, but an operating system takes ${MAX_PATH_BYTES}: choose a shorter directory.`,
      );
    await mkdir(path, { recursive: true, mode: 0o700 });
    const stats = await lstat(path);
    if (!stats.isDirectory() || (process.getuid && stats.uid !== process.getuid()))
      throw new StartupError(`${path} is not a directory of this user, so processes cannot meet there safely.`);
    if ((stats.mode & 0o077) !== 0) await chmod(path, 0o700);
    return new SocketDirectory(path);
  }

  /** Peer ids of the processes that are, or were, in the directory. */
  async peerIds(): Promise<string[]> {
    const names = await readdir(this.path).catch(() => []);
    return names.filter((name) => name.endsWith(SUFFIX)).map((name) => name.slice(0, -SUFFIX.length));
  }

  /**
   * Listens under the peer id. The socket gets its name only when it listens, so a named socket that refuses is one whose process is dead.
   * @throws StartupError when a living process has the same peer id.
   */
  async listen(peerId: string, onConnection: (socket: Socket) => void): Promise<Server> {
    const occupant = await this.connect(peerId);
    if (occupant) {
      occupant.destroy();
      throw new StartupError(`Another process is ${peerId} in ${this.path}.`);
    }
    const unnamed = join(this.path, `.${peerId}`);
    await rm(unnamed, { force: true });
    const server = createServer(onConnection);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ path: unnamed, backlog: 511 }, resolve);
    });
    await rename(unnamed, this.#pathOf(peerId));
    return server;
  }

  /** Null when nobody answers; the socket file of a dead process is removed. */
  connect(peerId: string): Promise<Socket | null> {
    const path = this.#pathOf(peerId);
    return new Promise((resolve) => {
      const socket = connect({ path });
      socket.once('connect', () => {
        socket.removeAllListeners('error');
        resolve(socket);
      });
      socket.once('error', (error: NodeJS.ErrnoException) => {
        const answer = (): void => resolve(null);
        if (error.code === 'ECONNREFUSED') this.remove(peerId).then(answer, answer);
        else answer();
      });
    });
  }

  async remove(peerId: string): Promise<void> {
    await rm(this.#pathOf(peerId), { force: true });
  }

  #pathOf(peerId: string): string {
    return join(this.path, `${peerId}${SUFFIX}`);
  }
}
