// `npm run bench:offline | bench:online | bench:compare | bench:distributed`: installs what the bench needs, then runs bench/<name>.ts.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkNode, fail, installPackages, root, run } from './install.mjs';

const BENCHES = ['offline', 'online', 'compare', 'tensor-parallel'];
const [asked, ...args] = process.argv.slice(2);
// The benches of `distributed` are named by its first argument.
const name = asked === 'distributed' && args[0] === 'tp' ? 'tensor-parallel' : asked;
if (!BENCHES.includes(name)) fail(`bench.mjs needs one of ${BENCHES.join(', ')}.`);

checkNode();
installPackages({ dev: true });
if (name === 'compare' && !args.includes('--help')) installRivals();
const { status, signal } = spawnSync(process.execPath, ['--import', 'tsx', join(root, 'bench', `${name}.ts`), ...args], {
  cwd: root,
  stdio: 'inherit',
});
process.exit(status ?? (signal === 'SIGINT' ? 130 : 1));

/** The rivals are a package of their own: about 700 MB that nothing else needs. */
function installRivals() {
  const folder = join(root, 'bench', 'rivals');
  const stampFile = join(folder, 'node_modules', '.troupe-install');
  const lock = createHash('sha256')
    .update(readFileSync(join(folder, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === lock) return;
  console.error('troupe: installing node-llama-cpp for the comparison (npm ci in bench/rivals, about 700 MB) …');
  run('npm', ['ci', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']);
  writeFileSync(stampFile, lock);
}
