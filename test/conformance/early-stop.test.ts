/** --enable-early-stop on the running server: what repeats itself, and is sure of it, is ended. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHAT, serverForFile, TEXT, user } from '../support/json-client.ts';
import { ASK_STORY } from '../support/mini-prompts.ts';

const WINDOW = 12;
const THRESHOLD = 0.9;
const client = serverForFile([
  '--enable-early-stop',
  '--early-stop-config',
  JSON.stringify({ strategy: 'repetition', window_size: WINDOW, threshold: THRESHOLD }),
]);

/** Length of the run of sure tokens that ends at each token. */
function sureRuns(logprobs: readonly number[]): number[] {
  let run = 0;
  return logprobs.map((logprob) => {
    run = Math.exp(logprob) > THRESHOLD ? run + 1 : 0;
    return run;
  });
}

for (const [path, body, logprobsOf] of [
  [CHAT, { messages: user(ASK_STORY), logprobs: true }, (c: Choice) => c.logprobs.content!.map(({ logprob }) => logprob)],
  [TEXT, { prompt: 'Once upon a time', logprobs: 0 }, (c: Choice) => c.logprobs.token_logprobs!],
] as const) {
  test(`${path} ends at the first run of ${WINDOW} tokens above the threshold, never earlier`, async () => {
    let numStopped = 0;
    for (const seed of [1, 2, 3, 4]) {
      const reply = await client.ask(path, { ...body, seed, temperature: 0.8, ignore_eos: true, max_tokens: 400 });
      const choice = reply.choices[0] as Choice;
      const runs = sureRuns(logprobsOf(choice));
      assert.ok(runs.slice(0, -1).every((run) => run < WINDOW));
      if (runs.at(-1) === WINDOW) numStopped++;
      assert.equal(choice.finish_reason, runs.at(-1) === WINDOW ? 'stop' : 'length');
    }
    assert.ok(numStopped > 0);
  });
}

interface Choice {
  readonly finish_reason: string;
  readonly logprobs: { readonly content?: readonly { readonly logprob: number }[]; readonly token_logprobs?: readonly number[] };
}
