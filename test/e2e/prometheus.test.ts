/** One scrape of one frontend sees the whole cluster: a real Prometheus asks, and its queries give what was done. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cluster } from '../support/nats-cluster.ts';
import { Prometheus, type Sample } from '../support/prometheus.ts';
import { streamChat } from '../support/stream-chat.ts';

const REQUESTS = 8;
const TOKENS = 20;

test('Prometheus scrapes a frontend and knows every engine', async (t) => {
  const { frontend } = await cluster(t, 2);
  const prometheus = await Prometheus.start(t, frontend.url);
  const until = async (what: string, expression: string, isThere: (samples: Sample[]) => boolean): Promise<Sample[]> => {
    for (;;) {
      const samples = await prometheus.query(expression);
      if (isThere(samples)) return samples;
      await frontend.tick(what);
    }
  };
  await until('the first scrape', 'up', ([sample]) => sample?.value === 1);
  const messages = (i: number) => [{ role: 'user', content: `Tell me a story about the number ${i}.` }];
  await Promise.all(
    Array.from({ length: REQUESTS }, (_, i) =>
      streamChat(frontend.url, { messages: messages(i), max_tokens: TOKENS, ignore_eos: true, temperature: 0 }),
    ),
  );
  await until('all tokens', 'sum(troupe:generation_tokens_total)', ([sample]) => sample?.value === REQUESTS * TOKENS);
  const byEngine = await prometheus.query('sum by (engine) (vllm:generation_tokens_total)');
  assert.deepEqual(byEngine.map(({ labels }) => labels.engine).sort(), ['node-0-engine-0', 'node-1-engine-0']);
  assert.ok(
    byEngine.every(({ value }) => value > 0),
    'both worked',
  );
  const [finished] = await prometheus.query('sum(fastdeploy:request_success_total)');
  assert.equal(finished?.value, REQUESTS);
  const [quantile] = await prometheus.query('histogram_quantile(0.5, sum by (le) (vllm:time_to_first_token_seconds_bucket))');
  assert.ok(quantile && quantile.value > 0 && quantile.value < 10, 'a dashboard’s quantile is a number');
  const running = await until('quiet', 'sum(fastdeploy:num_requests_running)', ([sample]) => sample?.value === 0);
  assert.equal(running.length, 1);
});
