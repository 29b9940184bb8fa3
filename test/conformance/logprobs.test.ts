/**
 * Log-probabilities of the running server, recomputed: the scaled and renormalised ones from the whole distribution, those of a
 * prompt from what is told when each of its tokens is next, and from transformers' logits.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CHAT, JsonClient, serverForFile, TEXT, user } from '../support/json-client.ts';
import { ASK_STORY } from '../support/mini-prompts.ts';
import { oracleDir, readGolden } from '../support/oracles.ts';
import { startServer } from '../support/server.ts';

const client = serverForFile(['--max-logprobs', '-1']);
const sampled = { messages: user(ASK_STORY), temperature: 0.7, seed: 7, max_tokens: 6, logprobs: true, return_tokens_as_token_ids: true };

interface Told {
  readonly token: string;
  readonly logprob: number;
}
type Entry = Told & { readonly top_logprobs: readonly Told[] };

const entriesOf = async (fields: object): Promise<Entry[]> =>
  (await client.ask(CHAT, { ...sampled, top_logprobs: -1, ...fields })).choices[0].logprobs.content;

const logSumExp = (values: readonly number[]): number => {
  const max = Math.max(...values);
  return max + Math.log(values.reduce((sum, value) => sum + Math.exp(value - max), 0));
};
const isNear = (actual: number, expected: number, what: string) =>
  assert.ok(Math.abs(actual - expected) < 1e-3, `${what}: ${actual}, not ${expected}`);

/** Both have the same tokens; each is near what `expected` makes of the raw distribution. */
function compare(raw: readonly Entry[], told: readonly Entry[], expected: (raw: readonly Told[]) => Map<string, number>): void {
  assert.deepEqual(
    told.map(({ token }) => token),
    raw.map(({ token }) => token),
  );
  for (const [i, entry] of told.entries()) {
    const values = expected(raw[i]!.top_logprobs);
    for (const { token, logprob } of [entry, ...entry.top_logprobs]) isNear(logprob, values.get(token)!, `token ${i}, ${token}`);
  }
}

function scaled(raw: readonly Told[], temperature: number): Map<string, number> {
  const total = logSumExp(raw.map(({ logprob }) => logprob / temperature));
  return new Map(raw.map(({ token, logprob }) => [token, logprob / temperature - total]));
}

/** Within the smallest set of the most probable tokens that together reach `topP`. */
function renormalised(distribution: Map<string, number>, topP: number): Map<string, number> {
  const sorted = [...distribution].sort((a, b) => b[1] - a[1]);
  let mass = 0;
  let size = 0;
  for (; size < sorted.length && mass < topP; size++) mass += Math.exp(sorted[size]![1]);
  return new Map(sorted.map(([token, logprob], i) => [token, i < size ? logprob - Math.log(mass) : -9999]));
}

describe('the log-probabilities of a token', () => {
  it('are those of the logits divided by the temperature with temp_scaled_logprobs', async () => {
    const told = await entriesOf({ temp_scaled_logprobs: true });
    compare(await entriesOf({}), told, (raw) => scaled(raw, 0.7));
  });

  it('are renormalised within the top_p set with top_p_normalized_logprobs', async () => {
    const top = { temperature: 1, top_p: 0.9 };
    const told = await entriesOf({ ...top, top_p_normalized_logprobs: true });
    compare(await entriesOf(top), told, (raw) => renormalised(scaled(raw, 1), 0.9));
  });

  it('are the same in chat and in text, whole and streamed, and do not depend on being asked for', async () => {
    const { logprobs: _, ...unasked } = { ...sampled, return_token_ids: true };
    const plain = (await client.ask(CHAT, unasked)).choices[0].message;
    const entries = await entriesOf({ top_logprobs: 2 });
    const prompt = { ...unasked, messages: undefined, prompt: plain.prompt_token_ids, logprobs: 2 };
    const text = (await client.ask(TEXT, prompt)).choices[0];
    assert.deepEqual(text.completion_token_ids, plain.completion_token_ids);
    assert.deepEqual(
      plain.completion_token_ids.map((id: number) => `token_id:${id}`),
      entries.map(({ token }) => token),
    );
    assert.deepEqual(
      text.logprobs.tokens,
      entries.map(({ token }) => token),
    );
    const streamed = (await client.stream(TEXT, prompt)).flatMap(({ choices: [choice] }) => choice.logprobs?.token_logprobs ?? []);
    for (const [i, { logprob }] of entries.entries()) {
      isNear(text.logprobs.token_logprobs[i], logprob, `token ${i} of the text`);
      isNear(streamed[i], logprob, `token ${i} of the stream`);
    }
  });

  it('are one entry, with an empty list, where no alternatives are asked for, and null without the field', async () => {
    const { choices } = await client.ask(CHAT, sampled);
    assert.equal(choices[0].logprobs.content.length, 6);
    for (const { top_logprobs: top } of choices[0].logprobs.content) assert.deepEqual(top, []);
    for (const logprobs of [false, null, undefined])
      assert.equal((await client.ask(CHAT, { ...sampled, logprobs })).choices[0].logprobs, null);
  });

  it('count the tokens of a stop string that is not shown, and the end of sequence', async () => {
    const reply = await client.ask(CHAT, { messages: user('What is the capital of France?'), temperature: 0, logprobs: true });
    assert.equal(reply.choices[0].logprobs.content.length, reply.usage.completion_tokens);
    assert.equal(reply.choices[0].logprobs.content.at(-1).token, '<|im_end|>');
  });
});

describe('the log-probabilities of a prompt', () => {
  it('are those that each of its tokens has as the next one', async () => {
    const ids = (await client.ask('/tokenize', { prompt: 'The sea is wide' })).tokens as number[];
    const body = { temperature: 0, max_tokens: 1 };
    const told = (await client.ask(TEXT, { ...body, prompt: ids, prompt_logprobs: 3 })).choices[0].prompt_logprobs;
    assert.deepEqual([told.length, told[0]], [ids.length, null]);
    for (let i = 1; i < ids.length; i++) {
      const next = await client.ask(TEXT, { ...body, prompt: ids.slice(0, i), logprobs: -1, return_tokens_as_token_ids: true });
      const all = next.choices[0].logprobs.top_logprobs[0] as Record<string, number>;
      const own = told[i][ids[i]!];
      isNear(own.logprob, all[`token_id:${ids[i]}`]!, `token ${i}`);
      assert.equal(own.rank, 1 + Object.values(all).filter((value) => value > all[`token_id:${ids[i]}`]!).length);
      const best = Object.entries(all)
        .sort((a, b) => b[1] - a[1])
        .slice(0, 3)
        .map(([name]) => name.replace('token_id:', ''));
      for (const id of best) assert.ok(id in told[i], `${id} is among the best of token ${i}`);
      assert.deepEqual(new Set(Object.keys(told[i])), new Set([...best, String(ids[i])]));
    }
  });

  it("are transformers', and so are those of an echoed one", async (t) => {
    const dir = oracleDir('ernie4_5');
    const other = new JsonClient(await startServer(t, ['--model', dir]).ready());
    for (const length of [2, 16, 64] as const) {
      const { inputIds, logits } = readGolden(dir, length);
      const vocabSize = logits.length / length;
      const prompt = [...inputIds];
      const { choices } = await other.ask(TEXT, { prompt, max_tokens: 0, echo: true, logprobs: 0, prompt_logprobs: 0 });
      const [{ logprobs, prompt_logprobs: ofPrompt }] = choices;
      assert.deepEqual([logprobs.token_logprobs.length, logprobs.token_logprobs[0], ofPrompt[0]], [length, null, null]);
      for (let i = 1; i < length; i++) {
        const row = [...logits.subarray((i - 1) * vocabSize, i * vocabSize)];
        const expected = row[prompt[i]!]! - logSumExp(row);
        isNear(logprobs.token_logprobs[i], expected, `token ${i} of ${length}`);
        isNear(ofPrompt[i][prompt[i]!].logprob, expected, `prompt token ${i} of ${length}`);
      }
    }
  });
});
