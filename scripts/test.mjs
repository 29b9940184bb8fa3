// `npm test`: installs what is missing, then format and lint, types, and every test; the slow suites last.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { build, checkNode, fail, installPackages, root, run } from './install.mjs';

/** Debian packages that tests use: the path that proves each, and what it is for. */
const DEBIAN = [
  {
    name: 'chromium',
    proof: ['/usr/lib/chromium/vk_swiftshader_icd.json'],
    use: 'SwiftShader, a Vulkan driver on the CPU, for the WebGPU test',
  },
  {
    name: 'libvulkan1',
    proof: ['/usr/lib/x86_64-linux-gnu/libvulkan.so.1', '/usr/lib/aarch64-linux-gnu/libvulkan.so.1'],
    use: 'the Vulkan loader, for the WebGPU test',
  },
  { name: 'iproute2', proof: ['/usr/sbin/ip', '/sbin/ip'], use: 'nodes with a network of their own, for the fault tests' },
  { name: 'openssh-server', proof: ['/usr/sbin/sshd'], use: 'nodes that are reached over ssh, for the launcher' },
  { name: 'openssh-client', proof: ['/usr/bin/ssh'], use: 'the same' },
  { name: 'prometheus', proof: ['/usr/bin/prometheus'], use: 'a scrape of the metrics, as operators have it' },
  {
    name: 'nats-server',
    proof: ['/usr/sbin/nats-server', '/usr/bin/nats-server'],
    use: 'a real broker, for the tests of the NATS transport',
  },
  { name: 'curl', proof: ['/usr/bin/curl'], use: "FastDeploy's curl examples" },
];
/** Suites that start servers or take minutes run after everything else. */
const SLOW = ['test/simulation/', 'test/oracles/', 'test/e2e/', 'test/conformance/', 'test/faults/'];

checkNode();
installPackages({ dev: true });
installDebianPackages();
build();
run(process.execPath, [join(root, 'node_modules/@biomejs/biome/bin/biome'), 'ci', '.']);
run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '--noEmit']);

const files = testFiles(join(root, 'test')).sort();
const isSlow = (file) => SLOW.some((folder) => file.startsWith(folder));
const only = process.argv.slice(2); // `npm test -- scheduler` runs the files whose path contains the word
const wanted = files.filter((file) => only.length === 0 || only.some((word) => file.includes(word)));
if (wanted.length === 0) fail('no test files found: nothing was tested.');
const groups = [wanted.filter((file) => !isSlow(file)), ...SLOW.map((folder) => wanted.filter((file) => file.startsWith(folder)))];
// All groups run, so that one report tells everything.
const failed = groups.filter((group) => group.length > 0 && !passes(group));
if (failed.length > 0) fail(`tests failed in ${failed.length} of ${groups.length} groups.`);

function passes(group) {
  const { status } = spawnSync(process.execPath, ['--import', 'tsx', '--test', '--test-concurrency=1', ...group], {
    cwd: root,
    stdio: 'inherit',
  });
  return status === 0;
}

function testFiles(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return testFiles(path);
    return entry.name.endsWith('.test.ts') ? [relative(root, path)] : [];
  });
}

function installDebianPackages() {
  if (process.platform !== 'linux') return;
  const missing = DEBIAN.filter(({ proof }) => !proof.some((path) => existsSync(path)));
  if (missing.length === 0) return;
  const names = missing.map(({ name }) => name);
  const isRoot = process.getuid?.() === 0;
  if (!isRoot || !existsSync('/usr/bin/apt-get')) {
    for (const { name, use } of missing) console.error(`troupe: missing Debian package ${name}: ${use}`);
    fail(`install them with: sudo apt-get install -y ${names.join(' ')}`);
  }
  console.error(`troupe: installing Debian packages ${names.join(', ')} …`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  spawnSync('apt-get', ['update', '-qq'], { stdio: 'inherit' });
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names], env);
}
