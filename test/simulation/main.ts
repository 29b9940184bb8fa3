/** `npm run simulate -- --seeds 1000 [--seed N] [--jobs N] [--verbose]`: runs seeds, prints a JSON line for each that breaks an invariant. */
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { simulate } from './simulate.ts';

const { values } = parseArgs({
  options: {
    /** How many, from --first on. */
    seeds: { type: 'string', default: '100' },
    first: { type: 'string', default: '1' },
    /** This one only. */
    seed: { type: 'string' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    every: { type: 'string', default: '1' },
    verbose: { type: 'boolean', default: false },
  },
});
const numSeeds = Number(values.seeds);
const first = Number(values.seed ?? values.first);
const every = Number(values.every);
const jobs = values.seed === undefined ? Math.min(Number(values.jobs), numSeeds) : 1;
let current = first;

for (const event of ['uncaughtException', 'unhandledRejection'] as const)
  process.on(event, (error) => {
    tell({ seed: current, invariant: 'crash', detail: `${event}: ${error instanceof Error ? error.stack : error}` });
    process.exit(1);
  });

if (jobs > 1) await runJobs();
else await runSeeds();

async function runSeeds(): Promise<void> {
  const last = values.seed === undefined ? first + numSeeds - 1 : first;
  const totals: Record<string, number> = {};
  let numFailed = 0;
  for (current = first; current <= last; current += every) {
    const report = await simulate(current, { onLine: values.verbose ? (line) => console.error(line) : null });
    for (const [end, count] of Object.entries(report.ends)) totals[end] = (totals[end] ?? 0) + count;
    totals.faults = (totals.faults ?? 0) + report.numFaults;
    totals.events = (totals.events ?? 0) + report.numEvents;
    if (report.violations.length > 0) numFailed++;
    for (const violation of report.violations.slice(0, 1))
      tell({ seed: current, atMs: report.atMs, ...violation, numMore: report.violations.length - 1, hash: report.hash });
    if (process.stderr.isTTY && !values.verbose) process.stderr.write(`\rseed ${current}, ${numFailed} failed `);
  }
  console.log(JSON.stringify({ seeds: Math.floor((last - first) / every) + 1, failedSeeds: numFailed, ...totals }));
  process.exitCode = numFailed > 0 ? 1 : 0;
}

/** One process per core, each with every n-th seed. */
async function runJobs(): Promise<void> {
  const script = fileURLToPath(import.meta.url);
  const codes = Array.from({ length: jobs }, (_, i) => {
    const args = ['--jobs', '1', '--first', String(first + i), '--seeds', String(numSeeds - i), '--every', String(jobs)];
    const child = spawn(process.execPath, [...process.execArgv, script, ...args], { stdio: ['ignore', 'inherit', 'inherit'] });
    return new Promise<number>((resolve) => child.on('exit', (code) => resolve(code ?? 1)));
  });
  process.exitCode = Math.max(...(await Promise.all(codes)));
}

function tell(failure: { readonly seed: number; readonly [fact: string]: unknown }): void {
  console.log(JSON.stringify({ ...failure, replay: `npm run simulate -- --seed ${failure.seed} --verbose` }));
}
