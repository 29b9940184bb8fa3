import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SupervisorEvent } from '../src/actors/supervisor.ts';
import { readConfig } from '../src/config-sources.ts';
import { preflight } from '../src/preflight.ts';
import { createStartupLog } from '../src/startup-log.ts';
import { createLogger } from '../src/telemetry/logger.ts';
import { MINI_DIR } from './support/mini-server.ts';

/** The messages that these events leave in the log. */
function told(...events: readonly SupervisorEvent[]): string[] {
  const { config } = readConfig({ args: [], env: {}, defaultFile: 'config/default.yaml' });
  const plan = preflight(config, MINI_DIR, {}, { availableBytes: 8 * 2 ** 30, threads: { threads: 1, why: 'one' } });
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push((JSON.parse(line) as { msg: string }).msg) };
  const logger = createLogger({ format: 'json', level: 'info', role: 'supervisor', destination });
  const log = createStartupLog({ plan, version: '1.2.3', address: 'http://127.0.0.1:1', logFormat: 'json', logger });
  for (const event of events) log.tell(event);
  return lines;
}

const ready = (role: string, name = `${role}-0`): SupervisorEvent => ({ type: 'child.ready', name, role, facts: {} });

test('the server says that it serves once, when the first frontend and the engine are both there', () => {
  assert.deepEqual(told(ready('frontend')), ['listening']);
  assert.deepEqual(told(ready('engine')), []);
  assert.deepEqual(told(ready('frontend'), ready('engine')), ['listening', 'serving']);
  assert.deepEqual(told(ready('engine'), ready('frontend'), ready('frontend', 'frontend-1')), ['listening', 'serving']);
});

test('an engine that comes back is told, a frontend that comes back changes nothing', () => {
  const start = [ready('frontend'), ready('engine')];
  assert.deepEqual(told(...start, ready('engine')), ['listening', 'serving', 'engine serves again']);
  assert.deepEqual(told(...start, ready('frontend')), ['listening', 'serving']);
  assert.deepEqual(told(ready('engine'), ready('engine'), ready('frontend')), ['listening', 'serving']);
});

test('a process that can never start is left to the one line of the command line', () => {
  const failure = { exitCode: 2, message: '--device cuda needs another library.' };
  const exit = { code: 2, signal: null, reason: null };
  const died: SupervisorEvent = { type: 'child.exited', name: 'engine-0', pid: 1, exit, isExpected: false, failure };
  const ended: SupervisorEvent = { type: 'ended', exitCode: 2, message: failure.message };
  assert.deepEqual(told(died, ended), []);
  assert.deepEqual(told(ready('engine'), died), ['process died'], 'after it was ready once it may start again');
  assert.deepEqual(told({ ...died, failure: { ...failure, exitCode: 1 } }), ['process died']);
});
