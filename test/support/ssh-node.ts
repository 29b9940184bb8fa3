/** A local sshd inside a node's own network, with keys of its own; root only, ended with the test. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Node } from './network.ts';

const PORT = 2222;

/** A key that every node lets in. @returns the file. */
export function makeKey(folder: string): string {
  const file = join(folder, 'key');
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file]);
  return file;
}

export async function startSshd(t: TestContext, node: Node, key: string): Promise<void> {
  mkdirSync('/run/sshd', { recursive: true });
  const options = [`HostKey=${key}`, `AuthorizedKeysFile=${key}.pub`, 'StrictModes=no', 'UsePAM=no', 'PermitRootLogin=yes', 'PidFile=none'];
  const args = ['/usr/sbin/sshd', '-D', '-e', '-f', '/dev/null', '-p', String(PORT), ...options.flatMap((option) => ['-o', option])];
  const [program, ...words] = [...node.prefix, ...args];
  const child = spawn(program!, words, { stdio: 'ignore' });
  const exited = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  while (!(await answers(node.address))) {
    if (child.exitCode !== null) throw new Error(`sshd ended with exit code ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** What reaches a node. */
export const sshCommand = (key: string): string =>
  `ssh -p ${PORT} -i ${key} -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR`;

function answers(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port: PORT });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
