/** Draining some of a supervisor's children for good, while the others live on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSupervisor } from '../../src/actors/supervisor.ts';
import { FakeProcesses } from '../support/fake-processes.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

async function running() {
  const clock = new VirtualClock();
  const processes = new FakeProcesses();
  const supervisor = createSupervisor({
    children: ['engine-0', 'engine-1'].map((name) => ({ name, role: 'engine', isDrained: true, launch: () => ({ modulePath: name }) })),
    clock,
    random: () => 0.5,
    spawn: processes.spawn,
    drainGraceMs: null,
  });
  let exitCode: number | null = null;
  void supervisor.exited.then((code) => {
    exitCode = code;
  });
  void supervisor.start();
  await clock.advance(0);
  for (const process of processes.all) process.ready();
  await clock.advance(0);
  const drainedAndGone = async (index: number): Promise<void> => {
    processes.all[index]!.say({ type: 'drained' });
    await clock.advance(0);
    processes.all[index]!.exit(0);
    await clock.advance(0);
  };
  return { clock, processes, supervisor, drainedAndGone, exitCode: () => exitCode };
}

test('a retired child finishes, ends and stays away; its sibling is not touched and still restarted', async () => {
  const { clock, processes, supervisor, drainedAndGone, exitCode } = await running();
  supervisor.retire(['engine-0']);
  await clock.advance(0);
  assert.deepEqual(
    processes.all.map(({ told }) => told),
    [[{ type: 'drain', graceMs: null }], []],
  );
  await drainedAndGone(0);
  await clock.advance(60_000);
  assert.equal(processes.all.length, 2, 'nothing was started again');
  processes.all[1]!.exit(null, 'SIGKILL');
  await clock.advance(60_000);
  assert.equal(processes.all.length, 3, 'the sibling was');
  assert.equal(exitCode(), null);
});

test('a child that dies while it is retired stays away, too', async () => {
  const { clock, processes, supervisor } = await running();
  supervisor.retire(['engine-0']);
  await clock.advance(0);
  processes.all[0]!.exit(null, 'SIGKILL');
  await clock.advance(60_000);
  assert.equal(processes.all.length, 2);
});

test('when the last child has retired, the supervisor ends with exit code 0', async () => {
  const { supervisor, drainedAndGone, exitCode, clock } = await running();
  supervisor.retire(['engine-0', 'engine-1']);
  await clock.advance(0);
  await drainedAndGone(0);
  assert.equal(exitCode(), null);
  await drainedAndGone(1);
  assert.equal(exitCode(), 0);
  assert.equal(clock.numTimers, 0);
});

test('a child whose name was taken elsewhere is not started again: the supervisor ends with its message and exit code 2', async () => {
  const { clock, processes, exitCode } = await running();
  processes.all[0]!.say({ type: 'failed', exitCode: 3, message: 'Engine engine-0 was started again elsewhere.' });
  processes.all[0]!.exit(3);
  await clock.advance(60_000);
  assert.equal(processes.all.length, 2, 'nothing was started again');
  processes.all[1]!.exit(0);
  await clock.advance(0);
  assert.equal(exitCode(), 2);
});
