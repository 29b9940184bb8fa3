/** A child process that obeys: it takes 20 ms to drain, and does as it is told on its standard commands. Argument `stuck`: ignores stop. */
import { superviseMe } from '../../src/actors/child-main.ts';

const [name = '', mode = ''] = process.argv.slice(2);
const link = superviseMe();
const keepAlive = setInterval(() => {}, 1000);
link.onCommand((command) => {
  if (command.type === 'drain') setTimeout(() => link.report({ type: 'drained' }), 20);
  if (command.type !== 'stop' || mode === 'stuck') return;
  clearInterval(keepAlive);
  process.exit(0);
});
if (mode === 'bad-model') throw new (await import('../../src/core/errors.ts')).StartupError(`${name}: config.json is missing.`);
if (mode === 'defect') setTimeout(() => (undefined as unknown as { f(): void }).f(), 0);
link.report({ type: 'ready', facts: { pid: process.pid, name } });
