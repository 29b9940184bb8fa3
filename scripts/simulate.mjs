// `npm run simulate -- --seeds 1000 [--seed N] [--verbose]`: the whole service under faults on a virtual clock (test/simulation/main.ts).
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { checkNode, installPackages, root } from './install.mjs';

checkNode();
installPackages({ dev: true });
const { status, signal } = spawnSync(
  process.execPath,
  ['--import', 'tsx', join(root, 'test', 'simulation', 'main.ts'), ...process.argv.slice(2)],
  { cwd: root, stdio: 'inherit' },
);
process.exit(status ?? (signal === 'SIGINT' ? 130 : 1));
