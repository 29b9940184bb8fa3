/** The deterministic simulation: a thousand seeds break no invariant, a seed repeats itself, and defects are found. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MUTATIONS } from './mutations.ts';
import { type SimulationReport, simulate } from './simulate.ts';

const NUM_SEEDS = 1000;
const LIMIT_MS = 5 * 60_000;
/** Seeds within which a defect has to show. */
const MUTATION_SEEDS = 60;

test(`${NUM_SEEDS} seeds break no invariant, within 5 minutes`, async (t) => {
  const startedAt = performance.now();
  const main = fileURLToPath(new URL('./main.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', main, '--seeds', String(NUM_SEEDS)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (data) => {
    output += data;
  });
  const [code] = await once(child, 'close');
  const seconds = (performance.now() - startedAt) / 1000;
  const lines = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>);
  const total = (name: string): number => lines.reduce((sum, line) => sum + (line[name] ?? 0), 0);
  t.diagnostic(`${seconds.toFixed(0)} s: ${output}`);
  assert.equal(code, 0, output);
  assert.equal(total('seeds'), NUM_SEEDS);
  assert.ok(seconds * 1000 < LIMIT_MS, `${seconds} s`);
  // The scenario: things did go wrong.
  for (const [name, atLeast] of [
    ['faults', 2000],
    ['finished', 8000],
    ['left', 1000],
    ['timeout', 100],
    ['lost', 300],
  ] as const)
    assert.ok(total(name) >= atLeast, `${name}: ${total(name)}`);
});

test('a seed is the same run every time: same events, same outcomes', async () => {
  for (const seed of [3, 8, 21]) {
    const first = await simulate(seed);
    assert.ok(first.numFaults > 0 && first.numEvents > 500, 'the scenario: something happens');
    assert.deepEqual(await simulate(seed), first);
  }
});

for (const { name, breaks, apply } of MUTATIONS) {
  test(`found: ${name}`, async (t) => {
    const takeOut = apply();
    let found: SimulationReport | null = null;
    let again: SimulationReport | null = null;
    try {
      for (let seed = 1; seed <= MUTATION_SEEDS && !found; seed++) {
        const report = await simulate(seed);
        if (report.violations.length > 0) found = report;
      }
      if (found) again = await simulate(found.seed);
    } finally {
      takeOut();
    }
    assert.ok(found, `not found within ${MUTATION_SEEDS} seeds`);
    t.diagnostic(`seed ${found.seed}: ${found.violations[0]!.invariant}: ${found.violations[0]!.detail}`);
    assert.ok(breaks.includes(found.violations[0]!.invariant), found.violations[0]!.detail);
    assert.deepEqual(again, found, 'a failing seed fails the same way again');
    assert.deepEqual((await simulate(found.seed)).violations, [], 'without the defect it breaks nothing');
  });
}
