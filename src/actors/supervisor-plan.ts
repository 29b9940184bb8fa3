/** What a supervisor knows about its children, and what follows from it: plain data and pure functions. The machine carries it out. */
import type { RandomSource } from '../core/clock.ts';
import type { ExitFacts } from './child-process.ts';
import { type ChildStatus, SUPERSEDED } from './process-messages.ts';
import {
  affectedBy,
  DEFAULT_RESTART_POLICY,
  decideRestart,
  NO_RESTARTS,
  type RestartHistory,
  type RestartPolicy,
  type RestartStrategy,
} from './restart-policy.ts';
import type { ChildCommand, ChildReport, ChildSpec } from './supervised-child.ts';

export interface ChildRecord {
  readonly spec: ChildSpec;
  readonly policy: RestartPolicy;
  readonly state: ChildStatus['state'];
  readonly pid: number | null;
  readonly wasEverReady: boolean;
  readonly history: RestartHistory;
}

export interface Plan {
  readonly strategy: RestartStrategy;
  /** By name, in start order. */
  readonly records: ReadonlyMap<string, ChildRecord>;
  /** Starts that wait until all of `names` are down. */
  readonly restarts: readonly { readonly names: readonly string[]; readonly delayMs: number }[];
  /** Asked to finish and never started again, while the others live on. */
  readonly retired: ReadonlySet<string>;
  /** Null before the end begins; then the names still to be stopped, of which the first group is being stopped. */
  readonly stages: readonly (readonly string[])[] | null;
}

export interface Order {
  readonly name: string;
  readonly command: ChildCommand;
}

/** The plan after something happened, and what is to be done now. */
export interface Reaction {
  readonly plan: Plan;
  readonly orders: readonly Order[];
}

export type ExitVerdict =
  | { readonly type: 'none' }
  | { readonly type: 'restart'; readonly name: string; readonly inMs: number; readonly numRestarts: number }
  /** It said itself that a restart would not help. */
  | { readonly type: 'unstartable'; readonly name: string; readonly exitCode: number; readonly message: string }
  | { readonly type: 'spent'; readonly name: string; readonly reason: string };

export function planOf(children: readonly ChildSpec[], strategy: RestartStrategy, restarts: Partial<RestartPolicy>): Plan {
  const records = children.map((spec): [string, ChildRecord] => [
    spec.name,
    {
      spec,
      policy: { ...DEFAULT_RESTART_POLICY, ...restarts, ...spec.restarts },
      state: 'down',
      pid: null,
      wasEverReady: false,
      history: NO_RESTARTS,
    },
  ]);
  return { strategy, records: new Map(records), restarts: [], retired: new Set(), stages: null };
}

export const statusOf = (plan: Plan): ChildStatus[] =>
  [...plan.records.values()].map(({ spec, state, pid, history }) => ({
    name: spec.name,
    role: spec.role,
    state,
    pid,
    numRestarts: history.numRestarts,
  }));

export const isEveryChildDown = (plan: Plan): boolean => [...plan.records.values()].every(({ state }) => state === 'down');
export const wasEveryChildReady = (plan: Plan): boolean => [...plan.records.values()].every(({ wasEverReady }) => wasEverReady);
/** Some role was never filled, so no request can have been accepted: there is nothing to drain. */
export function hasServedNothing(plan: Plan): boolean {
  const records = [...plan.records.values()];
  return records.some(({ spec: { role } }) => !records.some((other) => other.spec.role === role && other.wasEverReady));
}
export const isStageDown = (plan: Plan): boolean => plan.stages?.[0]?.every((name) => plan.records.get(name)?.state === 'down') ?? false;

/** Every child starts at once. */
export const startAll = (plan: Plan): Reaction => issue(plan, orderAll(plan, { type: 'start', delayMs: 0 }));

export function noteStarted(plan: Plan, { name, pid }: { readonly name: string; readonly pid: number | null }): Plan {
  return update(plan, name, (record) => ({ ...record, state: 'starting', pid, history: { ...record.history, readySince: null } }));
}

export function noteReady(plan: Plan, name: string, now: number): Plan {
  return update(plan, name, (record) => ({
    ...record,
    state: 'running',
    wasEverReady: true,
    history: { ...record.history, readySince: now },
  }));
}

export const noteExit = (plan: Plan, name: string): Plan => update(plan, name, (record) => ({ ...record, state: 'down', pid: null }));

type ExitReport = Extract<ChildReport, { readonly type: 'child.exited' }>;

/** A child ended while children are to be kept alive: restart it and those that belong to it, or give up. */
export function afterExit(
  before: Plan,
  report: ExitReport,
  now: number,
  random: RandomSource,
): Reaction & { readonly verdict: ExitVerdict } {
  const { name, failure } = report;
  const plan = noteExit(before, name);
  const record = plan.records.get(name);
  if (!record || report.isExpected || isLeaving(plan, name)) return { ...releaseRestarts(plan), verdict: { type: 'none' } };
  const isHopeless = failure?.exitCode === SUPERSEDED || (!record.wasEverReady && failure?.exitCode === 2);
  if (isHopeless) return { plan, orders: [], verdict: { type: 'unstartable', name, exitCode: 2, message: failure.message } };
  const decision = decideRestart(record.history, record.policy, now, random);
  if (decision.type === 'spent')
    return { plan, orders: [], verdict: { type: 'spent', name, reason: describeSpent(record, report.exit, failure) } };

  const names = affectedBy(plan.strategy, [...plan.records.keys()], name).filter((each) => !isLeaving(plan, each));
  const overlapping = plan.restarts.filter((restart) => restart.names.some((each) => names.includes(each)));
  const all = [...plan.records.keys()].filter((each) => [names, ...overlapping.map((restart) => restart.names)].flat().includes(each));
  const delayMs = Math.max(decision.delayMs, ...overlapping.map((restart) => restart.delayMs));
  const withHistory = update(plan, name, (old) => ({ ...old, history: decision.history }));
  const pending = [...plan.restarts.filter((restart) => !overlapping.includes(restart)), { names: all, delayMs }];
  const others = all.filter((each) => plan.records.get(each)?.state !== 'down').reverse();
  const stopped = issue(
    { ...withHistory, restarts: pending },
    others.map((each) => ({ name: each, command: { type: 'stop' } })),
  );
  const released = releaseRestarts(stopped.plan);
  return {
    plan: released.plan,
    orders: [...stopped.orders, ...released.orders],
    verdict: { type: 'restart', name, inMs: delayMs, numRestarts: decision.history.numRestarts },
  };
}

/** The first stage is asked to end; what was about to start in it does not. */
export function askStage(before: Plan, how: 'drain' | 'stop', graceMs: number | null): Reaction {
  const plan = { ...before, stages: before.stages ?? stagesOf(before) };
  const names = plan.stages[0] ?? [];
  const restarts = plan.restarts.map((restart) => ({ ...restart, names: restart.names.filter((name) => !names.includes(name)) }));
  const orders = names.map((name): Order => {
    const isDrained = how === 'drain' && plan.records.get(name)?.spec.isDrained === true;
    return { name, command: isDrained ? { type: 'drain', graceMs } : { type: 'stop' } };
  });
  return issue({ ...plan, restarts }, orders);
}

/** Order matters to requests only: without any, everything stops together. */
function stagesOf(plan: Plan): readonly (readonly string[])[] {
  return hasServedNothing(plan) ? [[...plan.records.keys()].reverse()] : stopStages([...plan.records.values()].map(({ spec }) => spec));
}

/** These finish what they do and end; nobody starts them again. */
export function retire(before: Plan, names: readonly string[], graceMs: number | null): Reaction {
  const restarts = before.restarts.map((restart) => ({ ...restart, names: restart.names.filter((name) => !names.includes(name)) }));
  const plan = { ...before, restarts, retired: new Set([...before.retired, ...names]) };
  return issue(
    plan,
    names.map((name) => ({ name, command: { type: 'drain', graceMs } })),
  );
}

export const isEveryChildRetired = (plan: Plan): boolean =>
  isEveryChildDown(plan) && [...plan.records.keys()].every((name) => plan.retired.has(name));

export const dropStage = (plan: Plan): Plan => ({ ...plan, stages: plan.stages?.slice(1) ?? null });

/** Nothing starts any more; what runs, runs on. */
export function cancelStarts(plan: Plan): Reaction {
  const waiting = [...plan.records.values()].filter(({ state }) => state === 'waiting');
  return issue(
    { ...plan, restarts: [] },
    waiting.map(({ spec }) => ({ name: spec.name, command: { type: 'stop' } })),
  );
}

export const killAll = (plan: Plan): Reaction => issue({ ...plan, restarts: [] }, orderAll(plan, { type: 'kill' }));

/** Names in the order of stopping: last started first; children of one role that follow each other together. */
function stopStages(specs: readonly ChildSpec[]): readonly (readonly string[])[] {
  const stages: { readonly role: string; readonly names: string[] }[] = [];
  for (const { role, name } of specs) {
    const last = stages.at(-1);
    if (last?.role === role) last.names.push(name);
    else stages.push({ role, names: [name] });
  }
  return stages.reverse().map(({ names }) => names);
}

export function describeExit({ code, signal, reason }: ExitFacts): string {
  if (reason !== null) return `could not be started (${reason})`;
  return signal !== null ? `was ended by ${signal}` : `ended with exit code ${code}`;
}

function describeSpent({ spec, policy }: ChildRecord, exit: ExitFacts, failure: { readonly message: string } | null): string {
  const last = failure ? `failed: ${failure.message}` : describeExit(exit);
  const limit = `${policy.maxRestarts} ${policy.maxRestarts === 1 ? 'restart' : 'restarts'} within ${policy.withinMs / 1000} s`;
  return `${spec.name} used up its budget of ${limit}; at last it ${last}`;
}

/** It is retired, or its turn to stop has come, or is over. */
const isLeaving = (plan: Plan, name: string): boolean =>
  plan.retired.has(name) || (plan.stages !== null && !plan.stages.slice(1).some((names) => names.includes(name)));

function releaseRestarts(plan: Plan): Reaction {
  const isFree = (name: string): boolean => plan.records.get(name)?.state === 'down';
  const free = plan.restarts.filter(({ names }) => names.every(isFree));
  const orders = free.flatMap(({ names, delayMs }) => names.map((name): Order => ({ name, command: { type: 'start', delayMs } })));
  return issue({ ...plan, restarts: plan.restarts.filter((restart) => !free.includes(restart)) }, orders);
}

const orderAll = (plan: Plan, command: ChildCommand): Order[] => [...plan.records.keys()].map((name) => ({ name, command }));

/** Notes what the orders will do to the children. */
function issue(before: Plan, orders: readonly Order[]): Reaction {
  let plan = before;
  for (const { name, command } of orders) {
    plan = update(plan, name, (record) => {
      if (command.type === 'start') return { ...record, state: 'waiting' };
      const isUp = record.state !== 'down' && record.state !== 'waiting';
      return { ...record, state: isUp ? 'stopping' : 'down' };
    });
  }
  return { plan, orders };
}

function update(plan: Plan, name: string, change: (record: ChildRecord) => ChildRecord): Plan {
  const record = plan.records.get(name);
  return record ? { ...plan, records: new Map(plan.records).set(name, change(record)) } : plan;
}
