/** The real thing in one process: troupe-mini in a rank thread. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startEngineGroup } from '../../src/actors/engine-group.ts';
import { spawnRankThread } from '../../src/actors/thread-rank.ts';
import { StartupError } from '../../src/core/errors.ts';
import { systemClock } from '../../src/system-clock.ts';
import { LoopbackBus } from '../../src/transport/loopback.ts';
import { generate, generateRequest } from '../support/generate.ts';
import { MINI_DIR, miniRankSpec, startMiniServer } from '../support/mini-server.ts';
import { silentLog } from '../support/silent-log.ts';

interface GoldenCase {
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly tools?: readonly unknown[];
  readonly enable_thinking?: boolean;
  readonly prompt_token_ids: readonly number[];
  readonly completion_token_ids: readonly number[];
  readonly finish_reason: string;
}
const golden = JSON.parse(readFileSync(join(MINI_DIR, 'golden.json'), 'utf8')) as { max_tokens: number; cases: GoldenCase[] };

const requestOf = (golden: { readonly max_tokens: number }, { prompt_token_ids }: GoldenCase) =>
  generateRequest({
    prompt: { type: 'tokens', tokenIds: prompt_token_ids },
    sampling: { temperature: 0, maxTokens: golden.max_tokens },
  });

test('the golden cases run together in the rank thread, and go on in a second one when the first is terminated', async (t) => {
  const server = await startMiniServer();
  t.after(() => server.close());
  const first = server.startGroup(1);
  await first.ready;
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(server.frontend.readiness(), { state: 'ready' });
  const cases = golden.cases.slice(0, 8);
  let hasDied = false;
  const running = cases.map((entry) =>
    generate(server.frontend, requestOf(golden, entry), {
      onRead: ([choice]) => {
        if (hasDied || choice!.ids.length < 8) return;
        hasDied = true;
        server.ranks[0]!.terminate();
      },
    }),
  );
  const { error } = await first.ended;
  assert.match(String(error), /rank's thread ended/);
  const second = server.startGroup(2);
  const results = await Promise.all(running);
  for (const [i, { choices }] of results.entries()) {
    assert.deepEqual(choices[0]!.ids, cases[i]!.completion_token_ids);
    assert.equal(choices[0]!.finish, cases[i]!.finish_reason);
  }
  assert.equal(server.frontend.numLive, 0);
  await Promise.all([server.frontend.drain(), second.drain()]);
  await second.stop();
});

test('a model that cannot be loaded fails the group with the line for the operator', async () => {
  const bus = new LoopbackBus({ clock: systemClock });
  const group = startEngineGroup({
    engineId: 'engine-0',
    epoch: [1, 1],
    transport: bus.connect('engine'),
    clock: systemClock,
    log: silentLog,
    maxNumSeqs: 4,
    spawnRank: () => spawnRankThread(miniRankSpec([1, 1], join(MINI_DIR, 'nowhere'))),
  });
  await assert.rejects(group.ready, (error: unknown) => error instanceof StartupError && error.message.includes('nowhere'));
  assert.ok((await group.ended).error instanceof StartupError);
});
