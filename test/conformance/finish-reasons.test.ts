/** Why a choice ended, on the running server: for chat and text, whole and streamed. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CHAT, serverForFile, TEXT, user } from '../support/json-client.ts';
import { addUp } from '../support/stream-sum.ts';

// A short context is full soon.
const client = serverForFile(['--max-model-len', '256']);
/** "The capital of France is Paris.", and its end of sequence. */
const france = { messages: user('What is the capital of France?'), temperature: 0 };
const ANSWER = 'The capital of France is Paris.';
/** The same conversation as a text prompt. */
const franceText = { prompt: '<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n', temperature: 0 };

interface Ending {
  readonly text: string;
  readonly finish: string;
  readonly numTokens: number;
}

async function endingOf(path: string, body: object, stream: boolean): Promise<Ending> {
  const chunks = stream ? await client.stream(path, { ...body, stream_options: { include_usage: true } }) : [await client.ask(path, body)];
  const { choices, usage } = addUp(chunks);
  return { text: choices[0].text, finish: choices[0].finish, numTokens: usage.completion_tokens };
}

for (const [path, ask] of [
  [CHAT, france],
  [TEXT, franceText],
] as const) {
  for (const stream of [false, true]) {
    const ending = (fields: object = {}) => endingOf(path, { ...ask, ...fields }, stream);

    describe(`${path}${stream ? ', streamed,' : ''} ends with`, () => {
      it('stop at the end of sequence, which is counted and not shown', async () => {
        const { text, finish, numTokens } = await ending();
        assert.deepEqual([text, finish], [ANSWER, 'stop']);
        assert.equal(numTokens, (await client.ask('/tokenize', { prompt: ANSWER, add_special_tokens: false })).count + 1);
      });

      it('stop also where the end of sequence is the last token that max_tokens allows, length one before', async () => {
        const { numTokens } = await ending();
        assert.deepEqual(await ending({ max_tokens: numTokens }), { text: ANSWER, finish: 'stop', numTokens });
        assert.deepEqual(await ending({ max_tokens: numTokens - 1 }), { text: ANSWER, finish: 'length', numTokens: numTokens - 1 });
      });

      it('length after max_tokens tokens, all of which are shown', async () => {
        const { text, finish, numTokens } = await ending({ max_tokens: 3 });
        assert.deepEqual([finish, numTokens], ['length', 3]);
        assert.equal((await client.ask('/tokenize', { prompt: text, add_special_tokens: false })).count, 3);
        assert.ok(ANSWER.startsWith(text));
      });

      it('length when min_tokens and max_tokens are 1', async () => {
        assert.deepEqual(await ending({ min_tokens: 1, max_tokens: 1 }), { text: 'The', finish: 'length', numTokens: 1 });
      });

      it('length when the end of sequence is ignored', async () => {
        const { finish, numTokens } = await ending({ ignore_eos: true, max_tokens: 50 });
        assert.deepEqual([finish, numTokens], ['length', 50]);
      });

      it('length when the context is full', async () => {
        const { finish, numTokens } = await ending({ ignore_eos: true, max_tokens: 10_000_000, truncate_prompt_tokens: 4 });
        assert.deepEqual([finish, numTokens], ['length', 252]);
      });

      it('stop no earlier than after min_tokens', async () => {
        const { text, numTokens } = await ending({ min_tokens: 20, max_tokens: 60 });
        assert.ok(numTokens >= 20 && text.startsWith('The capital'));
        const late = await ending({ min_tokens: 5, stop: ' ' });
        assert.ok(late.numTokens >= 5);
        assert.equal((await ending({ stop: ' ' })).numTokens, 2);
      });

      it('stop at a stop text, which is one sequence and not its characters', async () => {
        assert.deepEqual(
          [(await ending({ stop: 'France is' })).text, (await ending({ stop: ['zebra', 'France is'] })).text],
          ['The capital of ', 'The capital of '],
        );
        const { text, finish } = await ending({ stop: 'France is', include_stop_str_in_output: true });
        assert.deepEqual([text, finish], ['The capital of France is', 'stop']);
      });

      it('stop at a stop token, whose text is not shown', async () => {
        const { tokens } = await client.ask('/tokenize', { prompt: ' of', add_special_tokens: false });
        const { text, finish } = await ending({ stop_token_ids: tokens });
        assert.deepEqual([text, finish], ['The capital', 'stop']);
        const { tokens: unused } = await client.ask('/tokenize', { prompt: 'zebra', add_special_tokens: false });
        assert.equal((await ending({ stop_token_ids: unused })).text, ANSWER, "the model's own end beside it");
      });

      it('the text of the end of sequence where special tokens and the stop are to be shown', async () => {
        const shown = { include_stop_str_in_output: true, skip_special_tokens: false };
        assert.equal((await ending(shown)).text, `${ANSWER}<|im_end|>`);
        assert.equal((await ending({ ...shown, include_stop_str_in_output: false })).text, ANSWER);
      });
    });
  }
}

describe('each of n choices', () => {
  it('ends once, with a reason of its own', async () => {
    const body = { ...france, temperature: 1.5, seed: 3, max_tokens: 12, n: 6 };
    const chunks = await client.stream(CHAT, body);
    const endings = chunks.flatMap(({ choices }) => choices).filter(({ finish_reason: reason }) => reason !== null);
    assert.deepEqual(endings.map(({ index }) => index).sort(), [0, 1, 2, 3, 4, 5]);
    const whole = (await client.ask(CHAT, body)).choices;
    for (const { index, finish_reason: reason } of endings) assert.equal(reason, whole[index].finish_reason);
    assert.deepEqual(new Set(endings.map(({ finish_reason: reason }) => reason)), new Set(['stop', 'length']));
  });
});
