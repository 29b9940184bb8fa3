/** The supervisor with real processes: signals, kill -9 and orphans. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import type { SupervisorEvent } from '../../src/actors/supervisor.ts';

type Ready = Extract<SupervisorEvent, { type: 'child.ready' }>;

class SupervisorProcess {
  readonly process: ChildProcess;
  readonly exited: Promise<[code: number | null, signal: string | null]>;
  readonly events: SupervisorEvent[] = [];
  #waiting: (() => void)[] = [];

  constructor(t: TestContext, children: readonly [name: string, mode: string][]) {
    this.process = spawn(process.execPath, ['--import', 'tsx', 'test/support/supervisor-process.ts', JSON.stringify(children)], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true, // a process group of its own, as a shell gives each command
    });
    this.exited = once(this.process, 'exit') as Promise<[number | null, string | null]>;
    t.after(() => {
      if (this.process.exitCode === null && this.process.signalCode === null) process.kill(-(this.process.pid as number), 'SIGKILL');
    });
    if (!this.process.stdout) throw new Error('no stdout');
    createInterface({ input: this.process.stdout }).on('line', (line) => {
      this.events.push(JSON.parse(line) as SupervisorEvent);
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  /** Once the claim about the events holds. */
  async until(claim: () => boolean): Promise<void> {
    while (!claim()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** The process id with which this child was ready for the n-th time, counting from 1. */
  async ready(name: string, n = 1): Promise<number> {
    const readies = (): Ready[] => this.events.filter((event) => event.type === 'child.ready').filter((event) => event.name === name);
    await this.until(() => readies().length >= n);
    return Number(readies()[n - 1]?.facts.pid);
  }
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

const both: [string, string][] = [
  ['engine-0', ''],
  ['frontend-0', ''],
];

test('kill -9 on a child: a new one is started, the other lives on', async (t) => {
  const supervisor = new SupervisorProcess(t, both);
  const [engine, frontend] = [await supervisor.ready('engine-0'), await supervisor.ready('frontend-0')];
  process.kill(engine, 'SIGKILL');
  const next = await supervisor.ready('engine-0', 2);
  assert.notEqual(next, engine);
  assert.ok(isAlive(next) && isAlive(frontend) && !isAlive(engine));
  const exit = supervisor.events.find(({ type }) => type === 'child.exited');
  assert.ok(exit?.type === 'child.exited' && exit.pid === engine && exit.exit.signal === 'SIGKILL');
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} to the whole process group: children wait for the supervisor, which ends them in order, exit code 0`, async (t) => {
    const supervisor = new SupervisorProcess(t, both);
    const pids = [await supervisor.ready('engine-0'), await supervisor.ready('frontend-0')];
    process.kill(-(supervisor.process.pid as number), signal);
    assert.deepEqual(await supervisor.exited, [0, null]);
    assert.ok(!pids.some(isAlive));
    const exits = supervisor.events.filter((event) => event.type === 'child.exited');
    assert.deepEqual(
      exits.map(({ name, exit, isExpected }) => [name, exit.code, isExpected]),
      [
        ['frontend-0', 0, true],
        ['engine-0', 0, true],
      ],
    );
    assert.ok(supervisor.events.some(({ type }) => type === 'child.drained'));
  });
}

test('a second signal kills children that do not stop; exit code 143', async (t) => {
  const supervisor = new SupervisorProcess(t, [['engine-0', 'stuck']]);
  const engine = await supervisor.ready('engine-0');
  const killNow = (): boolean => process.kill(supervisor.process.pid as number, 'SIGTERM');
  killNow();
  await supervisor.until(() => supervisor.events.some(({ type }) => type === 'draining'));
  killNow();
  assert.deepEqual(await supervisor.exited, [143, null]);
  assert.ok(!isAlive(engine));
});

test('kill -9 on the supervisor leaves no orphan', async (t) => {
  const supervisor = new SupervisorProcess(t, [...both, ['engine-1', 'stuck']]);
  const pids = await Promise.all(['engine-0', 'frontend-0', 'engine-1'].map((name) => supervisor.ready(name)));
  process.kill(supervisor.process.pid as number, 'SIGKILL');
  await supervisor.exited;
  while (pids.some(isAlive)) await new Promise((resolve) => setImmediate(resolve));
});

test('a StartupError in a child ends the server with exit code 2 and its message', async (t) => {
  const supervisor = new SupervisorProcess(t, [
    ['engine-0', 'bad-model'],
    ['frontend-0', ''],
  ]);
  assert.deepEqual(await supervisor.exited, [2, null]);
  assert.deepEqual(supervisor.events.at(-1), { type: 'ended', exitCode: 2, message: 'engine-0: config.json is missing.' });
});

test('a child that dies again and again spends its budget; exit code 1, with its last words', async (t) => {
  const supervisor = new SupervisorProcess(t, [
    ['engine-0', 'defect'],
    ['frontend-0', ''],
  ]);
  assert.deepEqual(await supervisor.exited, [1, null]);
  const last = supervisor.events.at(-1);
  assert.ok(last?.type === 'ended');
  assert.match(last.message ?? '', /^engine-0 used up its budget of 2 restarts within 30 s; at last it failed: Cannot read properties/);
});
