// Brings node_modules and dist up to date: what `npm start`, `npm test` and the benches call first.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** An installed package has no sources. */
export const isClone = existsSync(join(root, 'src'));
const stampFile = join(root, 'node_modules', '.troupe-install.json');
const buildStamp = join(root, 'dist', '.built');

/** Stops with one line when this Node cannot run troupe. */
export function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) fail(`troupe needs Node 20.19 or newer; this is ${process.versions.node}.`);
}

/**
 * Runs `npm ci` unless the lockfile's packages are already there; `dev` asks for the development packages too. Where these are there
 * already they stay: a start must not take away what somebody works with.
 */
export function installPackages({ dev: needsDev }) {
  const dev = needsDev || existsSync(join(root, 'node_modules', 'tsx'));
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const stamp = existsSync(stampFile) ? JSON.parse(readFileSync(stampFile, 'utf8')) : {};
  if (stamp.lock === lock && (stamp.dev || !dev)) return;
  if (!hasTurn) return inTurn(() => installPackages({ dev: needsDev }));
  console.error(`troupe: installing ${dev ? 'all packages' : 'run-time packages'} (npm ci, about 20 s) …`);
  const options = ['--no-audit', '--no-fund', '--loglevel=error', ...(dev ? [] : ['--omit=dev'])];
  run('npm', ['ci', ...options], { ONNXRUNTIME_NODE_INSTALL: 'skip' });
  writeFileSync(stampFile, JSON.stringify({ lock, dev }));
}

/** Compiles src to dist when a source file is newer than the last build. */
export function build() {
  if (!isClone) return; // an installed package brings dist alone
  if (existsSync(buildStamp) && newestSource(join(root, 'src')) <= statSync(buildStamp).mtimeMs) return;
  if (!hasTurn) return inTurn(build);
  const dist = join(root, 'dist');
  const fresh = `${dist}-${process.pid}`;
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  // Types are checked by `npm test`; a start only needs the JavaScript.
  run(process.execPath, [compiler, '-p', join(root, 'tsconfig.build.json'), '--noCheck', '--outDir', fresh]);
  writeFileSync(join(fresh, '.built'), '');
  rmSync(dist, { recursive: true, force: true });
  renameSync(fresh, dist);
}

let hasTurn = false;

/** Several starts at once in one clone: one installs or compiles, the others wait for it and then look again. */
function inTurn(work) {
  // In the clone itself: processes need not agree on a folder for temporary files.
  const turn = join(root, 'dist-turn');
  while (!taken(turn)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  process.once('exit', () => rmSync(turn, { recursive: true, force: true }));
  hasTurn = true;
  try {
    work();
  } finally {
    hasTurn = false;
    rmSync(turn, { recursive: true, force: true });
  }
}

function taken(turn) {
  try {
    mkdirSync(turn);
    writeFileSync(join(turn, 'pid'), String(process.pid));
    return true;
  } catch {
    endAbandoned(turn);
    return false;
  }
}

/** Of a process that was killed meanwhile. */
function endAbandoned(turn) {
  try {
    process.kill(Number(readFileSync(join(turn, 'pid'), 'utf8')), 0);
  } catch (error) {
    const isOld = () => existsSync(turn) && Date.now() - statSync(turn).mtimeMs > 10_000;
    if (error.code === 'ESRCH' || (error.code === 'ENOENT' && isOld())) rmSync(turn, { recursive: true, force: true });
  }
}

/** Runs a command with the terminal attached; ends this process when it fails. */
export function run(command, args, env = {}) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: ['inherit', 'inherit', 'inherit'],
    env: { ...process.env, ...env },
    shell: process.platform === 'win32' && command === 'npm',
  });
  if (status !== 0) fail(`"${command} ${args.join(' ')}" failed${error ? `: ${error.message}` : ` with exit code ${status}`}.`);
}

export function fail(message) {
  console.error(`troupe: ${message}`);
  process.exit(1);
}

function newestSource(folder) {
  let newest = statSync(folder).mtimeMs;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    newest = Math.max(newest, entry.isDirectory() ? newestSource(path) : statSync(path).mtimeMs);
  }
  return newest;
}
