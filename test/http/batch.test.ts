import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TroupeError } from '../../src/core/errors.ts';
import { COMPLETIONS, call, callOpen, testApi } from '../support/api-client.ts';

const prompts = (count: number): string[] => Array.from({ length: count }, (_, i) => `p${i}`);

test('a batch of 200 prompts is answered in order, and Node sees no listeners pile up on one signal', async (t) => {
  const warnings: string[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning.name);
  process.on('warning', onWarning);
  t.after(() => process.off('warning', onWarning));
  const { api, generator } = testApi();
  const { status, json } = await call(api, COMPLETIONS, { body: { prompt: prompts(200) } });
  assert.deepEqual([status, json.choices.length], [200, 200]);
  assert.deepEqual(
    generator.requests.map(({ prompt }) => prompt.type === 'text' && prompt.text),
    prompts(200),
  );
  assert.equal(new Set(generator.runs.map(({ signal }) => signal)).size, 200);
  await new Promise((resolve) => setImmediate(resolve)); // warnings are emitted in the next tick
  assert.deepEqual(warnings, []);
});

test('nothing of a batch is begun after a refused prompt, and what was begun is aborted', async () => {
  const { api, generator } = testApi({
    refuse: ({ prompt }) => (prompt.type === 'text' && prompt.text === 'p20' ? new TroupeError('queue_full', 'Full.') : null),
  });
  assert.equal((await call(api, COMPLETIONS, { body: { prompt: prompts(500) } })).status, 429);
  assert.ok(generator.runs.length < 60, `${generator.runs.length} prompts were begun`);
  assert.ok(generator.runs.every(({ signal }) => signal.aborted));
});

test('a client that leaves aborts every prompt of its batch', async () => {
  const { api, generator } = testApi({ script: (_, signal) => waitFor(signal) });
  const controller = new AbortController();
  await callOpen(api, COMPLETIONS, { body: { prompt: prompts(20), stream: true }, signal: controller.signal });
  controller.abort();
  assert.deepEqual([generator.runs.length, generator.runs.every(({ signal }) => signal.aborted)], [20, true]);
});

async function* waitFor(signal: AbortSignal): AsyncGenerator<never> {
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}
