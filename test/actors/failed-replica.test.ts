/** A replica that is said to be alive and answers nobody is left alone, even where the prompt is cached there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TransportError } from '../../src/transport/transport.ts';
import { Cluster } from '../support/cluster.ts';
import { generate, generateRequest } from '../support/generate.ts';

const tokenIds = Array.from({ length: 60 }, (_, i) => 5 + i);
const request = (i: number) =>
  generateRequest({ requestId: `r${i}`, prompt: { type: 'tokens', tokenIds: [...tokenIds, 70 + i] }, sampling: { maxTokens: 4 } });

test('a replica that does not answer loses the request for good; five of those close it to all until one probe succeeds', async () => {
  let isMute = false;
  let numAsked = 0;
  const cluster = new Cluster({
    wrap: (transport) => {
      const ask = transport.request.bind(transport);
      transport.request = async (subject, data, timeoutMs) => {
        if (!subject.includes('engine-0') || !isMute) return ask(subject, data, timeoutMs);
        numAsked++;
        throw new TransportError('no_responders', 'nobody is there');
      };
      return transport;
    },
  });
  const engines = [cluster.startEngine('engine-0'), cluster.startEngine('engine-1')];
  const { frontend } = cluster.startFrontend();
  const { clock } = cluster;
  await clock.until(() => frontend.engines().filter((engine) => engine.state === 'serving').length === 2);
  await clock.untilSettled(generate(frontend, request(0)));
  await clock.advance(300);
  const numSteps = (i: number): number => engines[i]!.rank.engine.stats().numSteps;
  assert.ok(numSteps(0) > 0 && numSteps(1) === 0, 'the prefix is cached at engine-0');
  isMute = true;

  for (let i = 1; i <= 5; i++) {
    const since = clock.monotonic();
    await clock.untilSettled(generate(frontend, request(i)), 4000);
    assert.ok(clock.monotonic() - since > 1900, 'it was tried there first, where its prefix is');
  }
  assert.ok(numAsked >= 5 && numSteps(1) > 0, 'they went on at engine-1');
  const numBefore = numAsked;
  const since = clock.monotonic();
  await clock.untilSettled(generate(frontend, request(10)));
  assert.ok(clock.monotonic() - since < 200, 'the next one does not even try');
  assert.equal(numAsked, numBefore);

  isMute = false;
  await clock.advance(5000);
  const before = numSteps(0);
  await clock.untilSettled(generate(frontend, request(11)));
  await clock.advance(300);
  await clock.untilSettled(generate(frontend, request(12)));
  assert.ok(numSteps(0) > before, 'it is asked again');
  assert.equal(frontend.engines().length, 2);
});
