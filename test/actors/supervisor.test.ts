/** What the supervisor does and when, on a virtual clock, with processes that the test speaks for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ChildSpec, createSupervisor, type SupervisorEvent, type SupervisorOptions } from '../../src/actors/supervisor.ts';
import { FakeProcesses } from '../support/fake-processes.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const child = (name: string, over: Partial<ChildSpec> = {}): ChildSpec => ({
  name,
  role: name.split('-')[0] ?? name,
  launch: (startNumber) => ({ modulePath: name, args: [String(startNumber)] }),
  isDrained: name.startsWith('frontend'),
  ...over,
});

const middle = () => 0.5; // no jitter

function setUp(over: Partial<SupervisorOptions> = {}) {
  const clock = new VirtualClock();
  const processes = new FakeProcesses();
  const events: SupervisorEvent[] = [];
  const supervisor = createSupervisor({
    children: [child('engine-0'), child('frontend-0')],
    clock,
    random: middle,
    spawn: processes.spawn,
    drainGraceMs: null,
    onEvent: (event) => events.push(event),
    ...over,
  });
  let exitCode: number | null = null;
  void supervisor.exited.then((code) => {
    exitCode = code;
  });
  let hasStarted = false;
  const start = async (): Promise<void> => {
    void supervisor.start().then(() => {
      hasStarted = true;
    });
    await clock.advance(0);
  };
  return {
    clock,
    processes,
    events,
    supervisor,
    start,
    /** Starts, and every child says that it is ready. */
    run: async (): Promise<void> => {
      await start();
      for (const process of processes.all) process.ready();
      await clock.advance(0);
    },
    /** Milliseconds until the child has a process again. */
    msUntil: async (name: string): Promise<number> => {
      const from = clock.monotonic();
      await clock.until(() => processes.has(name));
      return clock.monotonic() - from;
    },
    get exitCode() {
      return exitCode;
    },
    get hasStarted() {
      return hasStarted;
    },
    eventTypes: () => events.map(({ type }) => type),
  };
}

test('all children start at once, in order; start() resolves when each was ready', async () => {
  const s = setUp();
  assert.equal(s.processes.all.length, 0);
  await s.start();
  assert.deepEqual(
    s.processes.all.map(({ launch }) => launch),
    [
      { modulePath: 'engine-0', args: ['1'] },
      { modulePath: 'frontend-0', args: ['1'] },
    ],
  );
  s.processes.of('frontend-0').ready({ port: 8188 });
  s.processes.of('engine-0').say({ type: 'loading', stage: 'weights', fraction: 0.5 });
  await s.clock.advance(0);
  assert.equal(s.hasStarted, false);
  s.processes.of('engine-0').ready();
  await s.clock.advance(0);
  assert.equal(s.hasStarted, true);
  assert.deepEqual(s.events, [
    { type: 'child.started', name: 'engine-0', pid: 1, startNumber: 1 },
    { type: 'child.started', name: 'frontend-0', pid: 2, startNumber: 1 },
    { type: 'child.ready', name: 'frontend-0', role: 'frontend', facts: { port: 8188 } },
    { type: 'child.loading', name: 'engine-0', stage: 'weights', fraction: 0.5 },
    { type: 'child.ready', name: 'engine-0', role: 'engine', facts: {} },
  ]);
});

test('a child that dies is started again after 40 ms, then 200, 400, 800, 1600; the other is not touched', async () => {
  const s = setUp();
  await s.run();
  const delays: number[] = [];
  for (let i = 0; i < 5; i++) {
    s.processes.of('engine-0').exit(null, 'SIGSEGV');
    delays.push(await s.msUntil('engine-0'));
  }
  assert.deepEqual(delays, [40, 200, 400, 800, 1600]);
  assert.deepEqual(s.processes.of('engine-0').launch.args, ['6']);
  assert.equal(s.processes.of('frontend-0').pid, 2);
  assert.deepEqual(s.processes.of('frontend-0').told, []);
  assert.equal(s.supervisor.status()[0]?.numRestarts, 5);
  assert.deepEqual(s.events.filter(({ type }) => type === 'child.exited' || type === 'child.restarting').slice(0, 2), [
    {
      type: 'child.exited',
      name: 'engine-0',
      pid: 1,
      exit: { code: null, signal: 'SIGSEGV', reason: null },
      isExpected: false,
      failure: null,
    },
    { type: 'child.restarting', name: 'engine-0', inMs: 40, numRestarts: 1 },
  ]);
});

test('budget spent: the frontend is told why, and after 5 s everything stops with exit code 1', async () => {
  const s = setUp();
  await s.run();
  for (let i = 0; i < 5; i++) {
    s.processes.of('engine-0').exit(1);
    await s.msUntil('engine-0');
  }
  s.processes.of('engine-0').exit(null, 'SIGKILL');
  await s.clock.advance(0);
  const reason = 'engine-0 used up its budget of 5 restarts within 30 s; at last it was ended by SIGKILL';
  assert.deepEqual(s.events.at(-1), { type: 'budgetSpent', name: 'engine-0', reason });
  const frontend = s.processes.of('frontend-0');
  assert.deepEqual(frontend.told, [{ type: 'serverFailed', reason }]);
  await s.clock.advance(4999);
  assert.equal(frontend.told.length, 1);
  await s.clock.advance(1);
  assert.deepEqual(frontend.told[1], { type: 'stop' });
  frontend.exit(0);
  await s.clock.advance(0);
  assert.equal(s.exitCode, 1);
  assert.deepEqual(s.events.at(-1), { type: 'ended', exitCode: 1, message: reason });
  assert.equal(s.processes.all.filter(({ launch }) => launch.modulePath === 'engine-0').length, 6);
});

test('restarts that lie further back than 30 s do not count for the budget', async () => {
  const s = setUp({ restarts: { maxRestarts: 2 } });
  await s.run();
  for (let i = 0; i < 10; i++) {
    s.processes.of('engine-0').exit(1);
    await s.msUntil('engine-0');
    await s.clock.advance(15_001);
  }
  assert.equal(s.processes.has('engine-0'), true);
});

test('each child has its own budget', async () => {
  const s = setUp({ restarts: { maxRestarts: 1 } });
  await s.run();
  for (const name of ['engine-0', 'frontend-0']) {
    s.processes.of(name).exit(1);
    await s.msUntil(name);
  }
  assert.ok(s.processes.has('engine-0') && s.processes.has('frontend-0'));
  s.processes.of('frontend-0').exit(1);
  await s.clock.advance(0);
  assert.match(
    JSON.stringify(s.events.at(-1)),
    /frontend-0 used up its budget of 1 restart within 30 s; at last it ended with exit code 1/,
  );
});

test('after 60 s of health the next restart is quick again', async () => {
  const s = setUp();
  await s.run();
  const delays: number[] = [];
  for (const healthyMs of [0, 0, 59_999, 60_000]) {
    s.processes.of('engine-0').ready();
    await s.clock.advance(healthyMs);
    s.processes.of('engine-0').exit(1);
    delays.push(await s.msUntil('engine-0'));
  }
  assert.deepEqual(delays, [40, 200, 400, 40]);
});

test('delays vary by 20 %, the first is at most 50 ms, and none is longer than 10 s', async () => {
  const delaysWith = async (random: () => number): Promise<number[]> => {
    const s = setUp({ random, restarts: { maxRestarts: 100 } });
    await s.run();
    const delays: number[] = [];
    for (let i = 0; i < 9; i++) {
      s.processes.of('engine-0').exit(1);
      delays.push(await s.msUntil('engine-0'));
    }
    return delays;
  };
  assert.deepEqual(await delaysWith(() => 0), [32, 160, 320, 640, 1280, 2560, 5120, 8000, 8000]);
  assert.deepEqual(await delaysWith(() => 1 - 2 ** -53), [48, 240, 480, 960, 1920, 3840, 7680, 10_000, 10_000]);
});

test('shutdown: the frontend drains, the engine serves until it is gone, then ends; exit code 0', async () => {
  const s = setUp();
  await s.run();
  const [engine, frontend] = s.processes.all;
  assert.ok(engine && frontend);
  s.supervisor.shutdown('SIGTERM');
  await s.clock.advance(24 * 3_600_000); // no limit
  assert.deepEqual(frontend.told, [{ type: 'drain', graceMs: null }]);
  assert.deepEqual(engine.told, []);
  frontend.say({ type: 'drained' });
  await s.clock.advance(0);
  assert.deepEqual(frontend.told[1], { type: 'stop' });
  assert.deepEqual(engine.told, []);
  frontend.exit(0);
  await s.clock.advance(0);
  assert.deepEqual(engine.told, [{ type: 'stop' }]);
  assert.equal(s.exitCode, null);
  engine.exit(0);
  await s.clock.advance(0);
  assert.equal(s.exitCode, 0);
  assert.deepEqual(s.events.slice(4), [
    { type: 'draining' },
    { type: 'child.drained', name: 'frontend-0' },
    {
      type: 'child.exited',
      name: 'frontend-0',
      pid: 2,
      exit: { code: 0, signal: null, reason: null },
      isExpected: true,
      failure: null,
    },
    { type: 'child.exited', name: 'engine-0', pid: 1, exit: { code: 0, signal: null, reason: null }, isExpected: true, failure: null },
    { type: 'ended', exitCode: 0, message: null },
  ]);
  assert.equal(s.clock.numTimers, 0);
});

test('children of one role stop together, roles in reverse order', async () => {
  const names = ['engine-0', 'engine-1', 'frontend-0', 'frontend-1'];
  const s = setUp({ children: names.map((name) => child(name)) });
  await s.run();
  s.supervisor.shutdown('SIGINT');
  const toldTo = (): string[] => s.processes.all.map(({ told }) => told.map(({ type }) => type).join());
  assert.deepEqual(toldTo(), ['', '', 'drain', 'drain']);
  s.processes.of('frontend-1').exit(0);
  await s.clock.advance(0);
  assert.deepEqual(toldTo(), ['', '', 'drain', 'drain']);
  s.processes.of('frontend-0').exit(0);
  await s.clock.advance(0);
  assert.deepEqual(toldTo(), ['stop', 'stop', 'drain', 'drain']);
});

test('what does not end by its deadline is killed: a drain after its grace and 1 s, a stop after 10 s', async () => {
  const s = setUp({ drainGraceMs: 3000 });
  await s.run();
  const [engine, frontend] = s.processes.all;
  assert.ok(engine && frontend);
  s.supervisor.shutdown('SIGTERM');
  assert.deepEqual(frontend.told, [{ type: 'drain', graceMs: 3000 }]);
  await s.clock.advance(3999);
  assert.equal(frontend.told.length, 1);
  await s.clock.advance(1);
  assert.deepEqual(frontend.told[1], { type: 'stop' });
  await s.clock.advance(9999);
  assert.ok(!frontend.isKilled);
  await s.clock.advance(1);
  assert.ok(frontend.isKilled);
  assert.deepEqual(engine.told, [{ type: 'stop' }]);
  await s.clock.advance(10_000);
  assert.ok(engine.isKilled);
  assert.equal(s.exitCode, 0);
});

test('a process that is not ready yet gets only 1 s to stop', async () => {
  const s = setUp();
  await s.start();
  s.processes.of('frontend-0').ready();
  s.supervisor.shutdown('SIGINT');
  s.processes.of('frontend-0').exit(0);
  await s.clock.advance(999);
  assert.equal(s.processes.alive.length, 1);
  await s.clock.advance(1);
  assert.equal(s.exitCode, 0);
  assert.equal(s.hasStarted, true);
});

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  test(`a second ${signal} kills everything at once; exit code ${code}`, async () => {
    const s = setUp();
    await s.run();
    s.supervisor.shutdown('SIGTERM');
    s.supervisor.shutdown(signal);
    assert.ok(s.processes.all.every(({ isKilled }) => isKilled));
    await s.clock.advance(0);
    assert.equal(s.exitCode, code);
    assert.equal(s.clock.numTimers, 0);
  });
}

test('an engine that dies while the frontend drains is replaced, so that streams can finish; a frontend is not', async () => {
  const s = setUp();
  await s.run();
  s.supervisor.shutdown('SIGTERM');
  s.processes.of('engine-0').exit(null, 'SIGKILL');
  assert.equal(await s.msUntil('engine-0'), 40);
  s.processes.of('engine-0').ready();
  s.processes.of('frontend-0').exit(null, 'SIGKILL');
  await s.clock.advance(0);
  assert.deepEqual(s.processes.of('engine-0').told, [{ type: 'stop' }]);
  s.processes.of('engine-0').exit(0);
  await s.clock.advance(60_000);
  assert.equal(s.exitCode, 0);
  assert.equal(s.processes.all.length, 3);
});

test('a child that waits for its restart when its turn to stop comes is not started', async () => {
  const s = setUp();
  await s.run();
  s.processes.of('engine-0').exit(1);
  s.processes.of('frontend-0').exit(1);
  await s.clock.advance(0);
  s.supervisor.shutdown('SIGTERM');
  await s.clock.advance(60_000);
  assert.equal(s.exitCode, 0);
  assert.equal(s.processes.all.length, 2);
});

test('budget spent while draining: the rest stops without waiting, exit code 1', async () => {
  const s = setUp({ restarts: { maxRestarts: 0 } });
  await s.run();
  s.supervisor.shutdown('SIGTERM');
  s.processes.of('engine-0').exit(1);
  await s.clock.advance(0);
  assert.deepEqual(
    s.processes.of('frontend-0').told.map(({ type }) => type),
    ['drain', 'stop'],
  );
  s.processes.of('frontend-0').exit(0);
  await s.clock.advance(0);
  assert.equal(s.exitCode, 1);
});

test('exit code 2 before the first ready ends the server with that message, without a restart', async () => {
  const s = setUp();
  await s.start();
  s.processes.of('frontend-0').ready();
  const message = 'models/x/model.safetensors: tensor "lm_head.weight" is missing.';
  s.processes.of('engine-0').say({ type: 'failed', exitCode: 2, message });
  s.processes.of('engine-0').exit(2);
  await s.clock.advance(0);
  const frontend = s.processes.of('frontend-0');
  assert.deepEqual(frontend.told, [{ type: 'stop' }]);
  frontend.exit(0);
  await s.clock.advance(60_000);
  assert.equal(s.exitCode, 2);
  assert.deepEqual(s.events.at(-1), { type: 'ended', exitCode: 2, message });
  assert.equal(s.processes.all.length, 2);
  assert.equal(s.hasStarted, true);
});

test('the same exit code after it was ready is a death like any other', async () => {
  const s = setUp();
  await s.run();
  s.processes.of('engine-0').say({ type: 'failed', exitCode: 2, message: 'The model folder is gone.' });
  s.processes.of('engine-0').exit(2);
  assert.equal(await s.msUntil('engine-0'), 40);
});

test('a process that closes its channel is killed, and only its exit makes room for the next', async () => {
  const s = setUp();
  await s.run();
  const engine = s.processes.of('engine-0');
  engine.kill = () => {
    engine.isKilled = true; // its exit takes a while
  };
  engine.disconnect();
  assert.ok(engine.isKilled);
  await s.clock.advance(60_000);
  assert.equal(s.processes.all.length, 2);
  engine.exit(null, 'SIGKILL');
  assert.equal(await s.msUntil('engine-0'), 40);
});

test('a process that said it failed and hangs is killed, then replaced', async () => {
  const s = setUp();
  await s.run();
  const engine = s.processes.of('engine-0');
  engine.say({ type: 'failed', exitCode: 1, message: 'The rank failed.' });
  await s.clock.advance(9999);
  assert.ok(!engine.isKilled);
  await s.clock.advance(1);
  assert.ok(engine.isKilled);
  assert.equal(await s.msUntil('engine-0'), 40);
  const exit = s.events.find(({ type }) => type === 'child.exited');
  assert.ok(exit?.type === 'child.exited' && exit.failure?.message === 'The rank failed.' && !exit.isExpected);
});

test('one-for-all: the others are stopped, and all start together once the last is down', async () => {
  const s = setUp({ strategy: 'one-for-all', children: ['rank-0', 'rank-1', 'rank-2'].map((name) => child(name)) });
  await s.run();
  s.processes.of('rank-1').exit(1);
  await s.clock.advance(0);
  assert.deepEqual(s.processes.of('rank-0').told, [{ type: 'stop' }]);
  assert.deepEqual(s.processes.of('rank-2').told, [{ type: 'stop' }]);
  s.processes.of('rank-2').exit(0);
  await s.clock.advance(5000);
  assert.equal(s.processes.all.length, 3);
  s.processes.of('rank-0').exit(0);
  for (const [name, ms] of [
    ['rank-0', 40],
    ['rank-1', 0],
    ['rank-2', 0],
  ] as const)
    assert.equal(await s.msUntil(name), ms);
});

test('rest-for-one: those that were started after the dead one start anew', async () => {
  const s = setUp({ strategy: 'rest-for-one', children: ['a-0', 'b-0', 'c-0'].map((name) => child(name)) });
  await s.run();
  s.processes.of('b-0').exit(1);
  await s.clock.advance(0);
  assert.deepEqual(s.processes.of('a-0').told, []);
  assert.deepEqual(s.processes.of('c-0').told, [{ type: 'stop' }]);
  s.processes.of('c-0').exit(0);
  await s.msUntil('c-0');
  assert.deepEqual(
    s.processes.alive.map(({ launch, pid }) => [launch.modulePath, pid]),
    [
      ['a-0', 1],
      ['b-0', 4],
      ['c-0', 5],
    ],
  );
});

test('a child that cannot be launched counts as dead, with the reason', async () => {
  const broken = child('engine-0', {
    launch: () => {
      throw new Error('EAGAIN: no more processes');
    },
  });
  const s = setUp({ children: [broken], restarts: { maxRestarts: 1 } });
  await s.start();
  await s.clock.advance(10_000);
  assert.equal(s.exitCode, 1);
  assert.match(JSON.stringify(s.events.at(-1)), /at last it could not be started \(EAGAIN: no more processes\)/);
});

test('the status tells of every child what it does and how often it was started again', async () => {
  const s = setUp();
  await s.run();
  s.processes.of('engine-0').exit(1);
  await s.clock.advance(0);
  assert.deepEqual(s.supervisor.status(), [
    { name: 'engine-0', role: 'engine', state: 'waiting', pid: null, numRestarts: 1 },
    { name: 'frontend-0', role: 'frontend', state: 'running', pid: 2, numRestarts: 0 },
  ]);
});

test('a frontend that becomes ready after the budget was spent is told, too', async () => {
  const s = setUp({ restarts: { maxRestarts: 0 } });
  await s.start();
  s.processes.of('engine-0').exit(1);
  await s.clock.advance(0);
  s.processes.of('frontend-0').ready();
  assert.deepEqual(
    s.processes.of('frontend-0').told.map(({ type }) => type),
    ['serverFailed'],
  );
  s.supervisor.shutdown('SIGTERM'); // does not wait for the rest of the grace
  assert.equal(s.processes.of('frontend-0').told.length, 2);
  s.supervisor.shutdown('SIGTERM');
  await s.clock.advance(0);
  assert.equal(s.exitCode, 1);
});

test('shutdown before the engine was ever ready: nothing was served, so everything stops together and nothing is started again', async () => {
  const s = setUp();
  void s.supervisor.start();
  await s.clock.advance(0);
  s.processes.of('frontend-0').ready();
  s.supervisor.shutdown('SIGINT');
  for (const process of s.processes.alive) process.exit(null, 'SIGINT');
  await s.clock.advance(1000);
  assert.equal(s.exitCode, 0);
  assert.ok(s.events.every((event) => event.type !== 'child.restarting' && (event.type !== 'child.exited' || event.isExpected)));
});

test('shutdown before start ends at once', async () => {
  const s = setUp();
  s.supervisor.shutdown('SIGTERM');
  await s.clock.advance(0);
  assert.equal(s.exitCode, 0);
});

test('an error inside the supervisor kills every process; exit code 1', async () => {
  const s = setUp({
    onEvent: (event) => {
      if (event.type === 'child.exited') throw new Error('a defect');
    },
  });
  await s.run();
  s.processes.of('engine-0').exit(1);
  await s.clock.advance(0);
  assert.equal(s.exitCode, 1);
  assert.deepEqual(s.processes.alive, []);
});
