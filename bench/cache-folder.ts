/** Where the benches keep what they make once: checkpoints and GGUF files, hundreds of megabytes, outside the repository. */
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';

/** Raise it when the bytes that the writers make change. */
const FORMAT_VERSION = 1;

export function benchCacheFolder(): string {
  const base = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  return join(base, 'troupe', 'bench', `v${FORMAT_VERSION}`);
}

/** Lets `make` write to a neighbour of `path` and moves the result there: what stands at `path` is always complete. */
export function makeAtomically(path: string, make: (partial: string) => void): void {
  mkdirSync(dirname(path), { recursive: true });
  const partial = join(dirname(path), `.${basename(path)}.${process.pid}.partial`);
  rmSync(partial, { recursive: true, force: true });
  try {
    make(partial);
    renameSync(partial, path);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}
