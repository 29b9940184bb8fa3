/**
 * How long a thread has computed, told by the operating system: a limit on that does not punish a grammar for what else the machine is
 * doing. Linux only; elsewhere there is no such clock, and limits are on the time that passes.
 */
import { readFileSync, readlinkSync } from 'node:fs';

/** Ticks are hundredths of a second for programs, whatever the kernel was built with (proc(5), USER_HZ). */
const MS_PER_TICK = 10;

/** The calling thread's clock, for `threadMs` anywhere in the process; null where there is none. */
export function ownThreadClock(): string | null {
  try {
    return `/proc/${readlinkSync('/proc/thread-self')}/stat`;
  } catch {
    return null;
  }
}

/** Milliseconds in which the thread computed, in user and kernel mode (fields 14 and 15 of proc(5)'s stat); null when it cannot be told. */
export function threadMs(clock: string | null): number | null {
  if (clock === null) return null;
  try {
    const stat = readFileSync(clock, 'utf8');
    // The second field is the thread's name in brackets, which may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
  } catch {
    return null;
  }
}
