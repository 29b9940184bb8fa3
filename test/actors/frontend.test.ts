import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cluster, testTokenizer } from '../support/cluster.ts';
import { generate, generateRequest } from '../support/generate.ts';

test('a greedy request streams to its end with text, ids and usage that agree', async () => {
  const cluster = new Cluster();
  const { group } = cluster.startEngine();
  const { frontend, observations } = cluster.startFrontend();
  await cluster.clock.untilSettled(group.ready);
  const result = await cluster.clock.untilSettled(generate(frontend, generateRequest()));

  const [choice] = result.choices;
  assert.equal(choice!.ids.length, 12);
  assert.equal(choice!.finish, 'length');
  assert.equal(choice!.text, testTokenizer().decode(choice!.ids, { skipSpecialTokens: true }));
  assert.deepEqual(result.usage, { promptTokens: 4, completionTokens: 12, cachedTokens: 0, reasoningTokens: 0 });
  assert.equal(result.numReads, 12, 'a reader that keeps up gets every step');
  assert.equal(observations.length, 1);
  assert.equal(frontend.numLive, 0);
});
