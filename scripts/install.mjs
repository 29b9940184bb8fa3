// Brings node_modules and dist up to date: what `npm start`, `npm test` and the benches call first.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
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
  console.error(`troupe: installing ${dev ? 'all packages' : 'run-time packages'} (npm ci, about 20 s) …`);
  const options = ['--no-audit', '--no-fund', '--loglevel=error', ...(dev ? [] : ['--omit=dev'])];
  run('npm', ['ci', ...options], { ONNXRUNTIME_NODE_INSTALL: 'skip' });
  writeFileSync(stampFile, JSON.stringify({ lock, dev }));
}

/** Compiles src to dist when a source file is newer than the last build. */
export function build() {
  if (!isClone) return; // an installed package brings dist alone
  if (existsSync(buildStamp) && newestSource(join(root, 'src')) <= statSync(buildStamp).mtimeMs) return;
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  // Types are checked by `npm test`; a start only needs the JavaScript.
  run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.build.json'), '--noCheck']);
  writeFileSync(buildStamp, '');
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
