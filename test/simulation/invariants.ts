/** What must hold of a run, whatever was done to it. Each function returns what it found wrong, as sentences. */
import type { ClientReport, SaidChoice } from './client.ts';
import type { FaultInjector } from './faults.ts';
import type { World } from './world.ts';

export type Invariant =
  /** A request never ended: the worst. */
  | 'hung'
  /** A request ended twice or not at all, or in a way that nothing gave cause for. */
  | 'outcome'
  /** It said something that an undisturbed run does not say: wrong, lost or doubled tokens. */
  | 'tokens'
  /** The usage told is not what was delivered. */
  | 'usage'
  /** Something is held for requests that are over: blocks, rows, frames, actors, timers. */
  | 'leak'
  /** A process ended that nobody ended, or an error that no fault explains. */
  | 'crash'
  /** The service does not come to rest or does not shut down in order. */
  | 'rest';

export interface Violation {
  readonly invariant: Invariant;
  readonly detail: string;
}

/** Deaths of engines after which a request may be given up (actors/request.ts); a connection that is cut looks like one. */
const MAX_ENGINE_DEATHS = 3;
const ENGINE_ENDS: ReadonlySet<string> = new Set(['kill', 'rankFails', 'disconnect']);
/** How long a request waits for an engine (actors/frontend.ts). */
const ENGINE_WAIT_MS = 30_000;

export function checkClient(report: ClientReport, expected: readonly SaidChoice[], injector: FaultInjector): Violation[] {
  const id = report.client.request.requestId;
  const found: Violation[] = [];
  const say = (invariant: Invariant, detail: string): void => void found.push({ invariant, detail: `${id}: ${detail}` });
  for (const wrong of report.wrong) say('outcome', wrong);
  if (report.ends.length === 0) {
    say('hung', `no end after ${report.choices.map(({ ids }) => ids.length).join(' + ')} tokens`);
    return found;
  }
  if (report.ends.length > 1) say('outcome', `ended ${report.ends.length} times: ${report.ends.join(', ')}`);
  const unfounded = whyUnfounded(report, injector);
  if (unfounded) say('outcome', unfounded);
  const isFinished = report.ends[0] === 'finished';
  for (const [index, said] of report.choices.entries()) {
    const problem = whyDifferent(said, expected[index]!, isFinished);
    if (problem) say('tokens', `choice ${index} ${problem}`);
  }
  const numDelivered = report.choices.reduce((sum, { ids }) => sum + ids.length, 0);
  const isUnread = report.ends[0] === 'lost' || report.ends[0] === 'left' || report.ends[0] === 'failed';
  if (report.usage && !isUnread && report.usage.completionTokens !== numDelivered)
    say('usage', `${report.usage.completionTokens} tokens counted, ${numDelivered} delivered`);
  return found;
}

/** Null when the way it ended has a cause. */
function whyUnfounded(report: ClientReport, injector: FaultInjector): string | null {
  const { client, error, endedAt, startedAt } = report;
  const lastedMs = (endedAt ?? 0) - startedAt;
  const numDeaths = injector.injected.filter(
    ({ fault, at, isReal }) => isReal && ENGINE_ENDS.has(fault.type) && at >= startedAt && at <= (endedAt ?? 0),
  ).length;
  switch (report.ends[0]) {
    case 'finished':
    case 'refused':
      return null;
    case 'left':
      return client.leavesAfterMs === null && client.leavesAfterTokens === null ? 'aborted, though its client did not leave' : null;
    case 'lost':
      return null; // the process's end is checked against the faults on its own
    case 'cut':
      return numDeaths >= MAX_ENGINE_DEATHS || lastedMs >= ENGINE_WAIT_MS
        ? null
        : `cut short after ${lastedMs} ms and ${numDeaths} deaths of engines`;
    case 'failed':
      break;
    default:
      return 'no end';
  }
  if (error?.code === 'timeout' && client.request.timeoutMs !== undefined && lastedMs >= client.request.timeoutMs) return null;
  if (error?.code === 'engine_failed' && numDeaths >= MAX_ENGINE_DEATHS) return null;
  if (error?.code === 'no_engine' && lastedMs >= ENGINE_WAIT_MS) return null;
  return `failed with ${error?.code} (${error?.message}) after ${lastedMs} ms and ${numDeaths} deaths of engines`;
}

function whyDifferent(said: SaidChoice, expected: SaidChoice, isFinished: boolean): string | null {
  const { ids } = said;
  const at = ids.findIndex((id, i) => id !== expected.ids[i]);
  if (at >= 0) return `says ${ids[at]} at ${at} where an undisturbed run says ${expected.ids[at] ?? 'nothing'}`;
  if (!isFinished) return null;
  if (ids.length !== expected.ids.length) return `has ${ids.length} tokens instead of ${expected.ids.length} (${said.finish})`;
  if (said.text !== expected.text) return `reads ${JSON.stringify(said.text)} instead of ${JSON.stringify(expected.text)}`;
  if (said.finish !== expected.finish) return `ends with ${said.finish} instead of ${expected.finish}`;
  const isSame = said.logprobs.length === expected.logprobs.length && said.logprobs.every((value, i) => value === expected.logprobs[i]);
  return isSame ? null : 'has other log-probabilities';
}

/** Whether every process holds nothing for requests any more. To be asked again until the service has come to rest. */
export function whatIsHeld(world: World): string[] {
  const held: string[] = [];
  for (const { name, clock } of world.processes) {
    const role = world.role(name);
    if (!role || clock.state !== 'running') {
      held.push(`${name} is not up`);
      continue;
    }
    if ('engine' in role) {
      const { numRunning, numWaiting, numUsedBlocks } = role.engine.stats();
      if (numRunning + numWaiting + numUsedBlocks > 0)
        held.push(`${name}: ${numRunning} running, ${numWaiting} waiting, ${numUsedBlocks} blocks used`);
      if (role.engine.hasWork) held.push(`${name} has work`);
      if (!role.group.isQuiet) held.push(`${name} holds frames or requests for a frontend`);
      if (role.group.state !== 'serving') held.push(`${name} is ${role.group.state}`);
      if (clock.numTimers !== 1) held.push(`${name}: ${clock.numTimers} timers instead of its beat`);
    } else {
      if (role.frontend.numLive > 0) held.push(`${name}: ${role.frontend.numLive} requests`);
      if (role.frontend.readiness().state !== 'ready') held.push(`${name} is ${role.frontend.readiness().state}`);
      if (clock.numTimers !== 1) held.push(`${name}: ${clock.numTimers} timers instead of its beat`);
      if (role.frontend.engines().length !== world.scenario.engines.length)
        held.push(`${name} knows ${role.frontend.engines().length} engines`);
    }
  }
  const missing = world.scenario.engines.length + world.scenario.frontends.length - world.processes.length;
  if (missing > 0) held.push(`${missing} processes are missing`);
  return held;
}

/** Processes that ended more often than they were ended. */
export function checkRestarts(world: World): Violation[] {
  return world.supervisor.status().flatMap(({ name, numRestarts }) => {
    const numEnded = world.ends.get(name) ?? 0;
    if (numRestarts <= numEnded) return [];
    return [{ invariant: 'crash' as const, detail: `${name} was started again ${numRestarts} times, ended on purpose ${numEnded} times` }];
  });
}
