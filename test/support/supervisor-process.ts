/**
 * A supervisor with real children: node --import tsx supervisor-process.ts '[["engine-0","MODE"],["frontend-0",""]]'.
 * Prints its events as JSON lines and takes SIGINT and SIGTERM as `troupe serve` does.
 */
import { fileURLToPath } from 'node:url';
import { forkChild } from '../../src/actors/child-process.ts';
import { createSupervisor } from '../../src/actors/supervisor.ts';
import { systemClock } from '../../src/system-clock.ts';

const modulePath = fileURLToPath(new URL('./supervised-child.ts', import.meta.url));
const children = JSON.parse(process.argv[2] ?? '[]') as [name: string, mode: string][];

const supervisor = createSupervisor({
  children: children.map(([name, mode]) => ({
    name,
    role: name.split('-')[0] ?? name,
    isDrained: name.startsWith('frontend'),
    launch: () => ({ modulePath, args: [name, mode] }),
  })),
  clock: systemClock,
  random: Math.random,
  spawn: forkChild,
  drainGraceMs: null,
  restarts: { maxRestarts: 2 },
  failureGraceMs: 50,
  onEvent: (event) => console.log(JSON.stringify(event)),
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => supervisor.shutdown(signal));
void supervisor.start();
process.exitCode = await supervisor.exited;
