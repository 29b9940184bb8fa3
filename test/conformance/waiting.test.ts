/** FastDeploy's test of --max-waiting-time on the running server: more than there is room for, and everybody is answered. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHAT, serverForFile, user } from '../support/json-client.ts';

const client = serverForFile(['--max-concurrency', '3', '--max-waiting-time', '600']);

test('forty requests at three places all get their answer in turn, each the one that it gets alone', async () => {
  const body = (seed: number) => ({ messages: user('Tell me a joke.'), seed, temperature: 1, max_tokens: 8 });
  const together = await Promise.all(Array.from({ length: 40 }, (_, seed) => client.ask(CHAT, body(seed))));
  for (const seed of [0, 17, 39]) {
    assert.equal(together[seed].choices[0].message.content, (await client.ask(CHAT, body(seed))).choices[0].message.content);
  }
});
