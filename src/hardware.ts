/** What this machine can give: cores for the engine's threads and memory for weights and KV cache. */
import { readFileSync } from 'node:fs';
import { availableParallelism, freemem, platform, totalmem } from 'node:os';

export interface ThreadChoice {
  readonly threads: number;
  readonly why: string;
}

/** What a server may plan with. */
export interface Machine {
  readonly availableBytes: number;
  readonly threads: ThreadChoice;
}

export function thisMachine(): Machine {
  return { availableBytes: availableMemoryBytes(), threads: chooseThreads() };
}

/** What one of several engines on this machine may plan with. */
export function shareOf({ availableBytes, threads }: Machine, numEngines: number): Machine {
  if (numEngines === 1) return { availableBytes, threads };
  return {
    availableBytes: Math.floor(availableBytes / numEngines),
    threads: { threads: Math.max(1, Math.floor(threads.threads / numEngines)), why: `${threads.why}, shared by ${numEngines} engines` },
  };
}

/**
 * Physical cores that this process may use: a second thread on the same core shares its vector units and only adds contention,
 * while two logical processors on a small virtual machine are often all there is.
 */
function chooseThreads(): ThreadChoice {
  const logical = Math.max(1, Math.min(availableParallelism(), cgroupCpus() ?? Number.POSITIVE_INFINITY));
  const physical = physicalCores();
  if (physical === null || logical <= 2 || physical >= logical) return { threads: logical, why: `${logical} available processors` };
  return { threads: physical, why: `${physical} physical cores of ${logical} processors` };
}

/** Bytes that can be allocated without pushing the machine, or this container, over its limit. */
function availableMemoryBytes(): number {
  const machine = memAvailable() ?? (platform() === 'darwin' ? totalmem() * 0.75 : freemem());
  return Math.min(machine, cgroupFreeBytes() ?? Number.POSITIVE_INFINITY);
}

function physicalCores(): number | null {
  const info = read('/proc/cpuinfo');
  if (info === null) return null;
  const cores = new Set<string>();
  for (const processor of info.split('\n\n')) {
    const socket = /^physical id\s*:\s*(\d+)/m.exec(processor)?.[1];
    const core = /^core id\s*:\s*(\d+)/m.exec(processor)?.[1];
    if (socket !== undefined && core !== undefined) cores.add(`${socket}/${core}`);
  }
  return cores.size > 0 ? cores.size : null;
}

function memAvailable(): number | null {
  const kibibytes = /^MemAvailable:\s+(\d+) kB/m.exec(read('/proc/meminfo') ?? '')?.[1];
  return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}

/** cgroup v2 `cpu.max`: quota and period in microseconds. */
function cgroupCpus(): number | null {
  const [quota, period] = (read('/sys/fs/cgroup/cpu.max') ?? '').trim().split(' ').map(Number);
  return quota && period ? Math.max(1, Math.floor(quota / period)) : null;
}

/** cgroup v2 limit less what is used and cannot be reclaimed. */
function cgroupFreeBytes(): number | null {
  const limit = Number((read('/sys/fs/cgroup/memory.max') ?? 'max').trim());
  const used = Number((read('/sys/fs/cgroup/memory.current') ?? '').trim());
  if (!Number.isFinite(limit) || !Number.isFinite(used)) return null;
  const reclaimable = Number(/^inactive_file (\d+)/m.exec(read('/sys/fs/cgroup/memory.stat') ?? '')?.[1] ?? 0);
  return Math.max(0, limit - used + reclaimable);
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
