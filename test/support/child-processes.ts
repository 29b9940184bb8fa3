/** Which processes are a process's children: read from /proc, since a slim container has no `ps`. */
import { readdirSync, readFileSync } from 'node:fs';

export interface ChildProcessInfo {
  readonly pid: number;
  /** The command line, or the title that the process gave itself. */
  readonly title: string;
}

/** The children that are alive now; one that has ended but was not yet waited for is none. */
export function childrenOf(parent: number): ChildProcessInfo[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      const [state, ppid] = fieldsAfterName(pid);
      return Number(ppid) === parent && state !== 'Z';
    })
    .map((pid) => ({ pid: Number(pid), title: read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim() }));
}

/** State, parent and the rest of /proc/PID/stat. The name before them stands in brackets and may hold anything, brackets too. */
function fieldsAfterName(pid: string): string[] {
  const stat = read(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** Empty when the process has gone meanwhile. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Whether a process with this id exists, dead ones that nobody waited for included. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
