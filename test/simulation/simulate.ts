/**
 * One run of the whole service under faults, all of it drawn from one seed: the same actors as in production on a virtual clock. Everything
 * that happens goes into the event log's hash, so that two runs of a seed can be compared.
 */
import { type ClientReport, runClient } from './client.ts';
import { FaultInjector } from './faults.ts';
import { checkClient, checkRestarts, type Violation, whatIsHeld } from './invariants.ts';
import { type Scenario, scenarioOf } from './scenario.ts';
import { undisturbed } from './undisturbed.ts';
import { World, type WorldOptions } from './world.ts';

export interface SimulationReport {
  readonly seed: number;
  /** Of everything that happened. */
  readonly hash: string;
  readonly numEvents: number;
  /** When the first violation was noticed, in virtual milliseconds since the start; null = all invariants held. */
  readonly atMs: number | null;
  readonly violations: readonly Violation[];
  /** How many requests ended how; a failed one by its error's code. */
  readonly ends: Readonly<Record<string, number>>;
  readonly numFaults: number;
  readonly numLost: number;
  readonly numReplays: number;
  readonly numStaleFrames: number;
}

/** A request that no fault touches any more has ended by then: its wait for an engine, a give-up and its tokens. */
const HUNG_MS = 120_000;
/** From the last request's end until nothing is held: silence is noticed within 5 s, restarts wait up to 10 s. */
const REST_MS = 30_000;
const SHUTDOWN_MS = 60_000;

export async function simulate(seed: number, options: WorldOptions = {}): Promise<SimulationReport> {
  return simulateScenario(scenarioOf(seed), options);
}

export async function simulateScenario(scenario: Scenario, options: WorldOptions = {}): Promise<SimulationReport> {
  const expected = await undisturbed(scenario.clients.map(({ request }) => request));
  const world = new World(scenario, options);
  const { clock, log } = world;
  const violations: Violation[] = [];
  const started = world.supervisor.start();
  await clock.untilSettled(started);
  const injector = new FaultInjector(world);
  const reports = scenario.clients.map(newReport);
  for (const report of reports) void runClient(world, report);

  const isOver = (): boolean => reports.every(({ ends }) => ends.length > 0);
  const lastFaultMs = Math.max(0, ...scenario.faults.map((fault) => fault.atMs + ('forMs' in fault ? fault.forMs : 0)));
  await holds(clock.until(isOver, lastFaultMs + HUNG_MS));
  injector.healAll();
  const isAtRest = await holds(clock.until(() => whatIsHeld(world).length === 0, REST_MS));
  log.note(isAtRest ? 'at rest' : 'not at rest');
  let atMs = log.atMs;
  violations.push(...reports.flatMap((report, i) => checkClient(report, expected[i]!, injector)));
  if (!isAtRest) violations.push({ invariant: 'leak', detail: whatIsHeld(world).join('; ') });
  violations.push(...checkRestarts(world));
  for (const error of world.errors) violations.push({ invariant: 'crash', detail: error });
  if (violations.length === 0) {
    violations.push(...(await checkShutdown(world)));
    atMs = log.atMs;
  }
  for (const { invariant, detail } of violations) log.note(`VIOLATION ${invariant}: ${detail}`);
  return {
    seed: scenario.seed,
    hash: log.hash,
    numEvents: log.numEvents,
    atMs: violations.length > 0 ? atMs : null,
    violations,
    ends: countBy(reports.map(({ ends, error }) => (error ? error.code : (ends[0] ?? 'hung')))),
    numFaults: injector.injected.filter(({ isReal }) => isReal).length,
    numLost: world.network.counts.lost + world.network.counts.cut,
    ...world.counts,
  };
}

/** In order, with exit code 0, and with no timer left. */
async function checkShutdown(world: World): Promise<Violation[]> {
  world.supervisor.shutdown('SIGTERM');
  let exitCode: number | null = null;
  void world.supervisor.exited.then((code) => {
    exitCode = code;
  });
  await holds(world.clock.until(() => exitCode !== null, SHUTDOWN_MS));
  await world.clock.advance(SHUTDOWN_MS); // messages that are still on their way
  if (exitCode !== 0) return [{ invariant: 'rest', detail: `the shutdown ended with ${exitCode ?? 'nothing'}` }];
  if (world.clock.numTimers > 0) return [{ invariant: 'leak', detail: `${world.clock.numTimers} timers are left after the shutdown` }];
  return [];
}

const newReport = (client: Scenario['clients'][number]): ClientReport => ({
  client,
  startedAt: 0,
  endedAt: null,
  ends: [],
  error: null,
  wasAccepted: false,
  choices: [],
  usage: null,
  wrong: [],
});

/** Whether what was waited for came true. */
const holds = (waiting: Promise<void>): Promise<boolean> =>
  waiting.then(
    () => true,
    () => false,
  );

function countBy(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}
