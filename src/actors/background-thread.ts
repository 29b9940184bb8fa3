/** Lets a helper thread step back where the cores are taken: what is compiled may wait, the streams of others may not. */
import { setPriority } from 'node:os';

/** With it a thread gets a quarter of a core that it must share with one of the usual niceness, 0 (sched(7)). */
const NICENESS = 5;

/** For the calling thread. Linux only: elsewhere niceness belongs to whole processes. */
export function stepBack(): void {
  if (process.platform === 'linux') setPriority(NICENESS); // no number of a process: the caller, which is a thread there (setpriority(2))
}
