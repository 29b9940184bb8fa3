/** Entry of the broker's process: starts nats-server, says when it is ready, and ends with it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { superviseMe } from './actors/child-main.ts';
import { BROKER_VARIABLE, type BrokerAssignment } from './broker-assignment.ts';

const { executable, configFile, pidFile } = JSON.parse(process.env[BROKER_VARIABLE] ?? '{}') as BrokerAssignment;
let server: ChildProcess | null = null;
// Before the handler that ends this process at once when the supervisor is gone.
process.on('disconnect', () => server?.kill('SIGKILL'));
const link = superviseMe();
process.title = 'troupe broker';

endPredecessor();
server = spawn(executable, ['-c', configFile], { stdio: ['ignore', 'ignore', 'pipe'] });
if (server.pid !== undefined) writeFileSync(pidFile, String(server.pid));
let last = '';
createInterface({ input: server.stderr! }).on('line', (line) => {
  last = line;
  if (line.includes('Server is ready')) link.report({ type: 'ready', facts: {} });
});
server.once('error', (error) => link.report({ type: 'failed', exitCode: 1, message: `nats-server cannot be started: ${error.message}` }));
let isStopping = false;
server.once('exit', (code, signal) => {
  if (isStopping) process.exit(0);
  link.report({ type: 'failed', exitCode: 1, message: `nats-server ended (${signal ?? `exit code ${code}`}): ${last}` });
});
link.onCommand((command) => {
  if (command.type === 'drain') link.report({ type: 'drained' });
  if (command.type !== 'stop') return;
  isStopping = true;
  server?.kill('SIGTERM');
});

/** The nats-server of a keeper that was killed holds the port. */
function endPredecessor(): void {
  try {
    const pid = Number(readFileSync(pidFile, 'utf8'));
    if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(configFile)) process.kill(pid, 'SIGKILL');
  } catch {
    // there is none
  }
}
