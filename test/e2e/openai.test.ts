/** The official openai package against the running server with the embedded model. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { Server, startServer } from '../support/server.ts';

const server = new Server([]);
let client: OpenAI;
before(async () => {
  await server.ready();
  client = connect(server);
});
after(async () => {
  server.kill();
  await server.exited;
});

const connect = ({ url }: Server): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'null', maxRetries: 0 });
const user = (content: string) => [{ role: 'user' as const, content }];
const story = { model: 'troupe-mini', messages: user('Tell me a story about a fox.'), temperature: 0, max_tokens: 40 };
const endless = { ...story, max_tokens: 1500, ignore_eos: true };

const bytesOf = (tokens: readonly { bytes: number[] | null }[]): string => Buffer.from(tokens.flatMap(({ bytes }) => bytes!)).toString();

test('a chat is answered with sense, its model, its usage and its reason', async () => {
  const { choices, model, usage } = await client.chat.completions.create({ model: 'x', messages: user('Hello!'), temperature: 0 });
  assert.match(choices[0]!.message.content!, /^Hello!/);
  assert.equal(choices[0]!.finish_reason, 'stop');
  assert.equal(model, 'troupe-mini');
  assert.equal(usage!.total_tokens, usage!.prompt_tokens + usage!.completion_tokens);
});

test('a stream says the same as the whole reply, and its last chunk the usage', async () => {
  const whole = await client.chat.completions.create(story);
  const stream = await client.chat.completions.create({ ...story, stream: true, stream_options: { include_usage: true } });
  let text = '';
  let numPieces = 0;
  let finish: string | null = null;
  let usage: OpenAI.CompletionUsage | null | undefined;
  for await (const chunk of stream) {
    const choice = chunk.choices[0];
    if (choice?.delta.content) numPieces++;
    text += choice?.delta.content ?? '';
    finish = choice?.finish_reason ?? finish;
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0]!.message.content);
  assert.equal(finish, whole.choices[0]!.finish_reason);
  assert.deepEqual([usage?.prompt_tokens, usage?.completion_tokens], [whole.usage!.prompt_tokens, whole.usage!.completion_tokens]);
  assert.ok(numPieces > 1, 'it came in pieces');
});

test("the package's stream helper assembles what create gives", async () => {
  const final = await client.chat.completions.stream(story).finalChatCompletion();
  const whole = await client.chat.completions.create(story);
  assert.equal(final.choices[0]!.message.content, whole.choices[0]!.message.content);
});

test('completions take text, several texts and token ids, whole and as a stream', async () => {
  const ask = { model: 'x', temperature: 0, max_tokens: 12 };
  const one = await client.completions.create({ ...ask, prompt: 'Once upon a time' });
  const two = await client.completions.create({ ...ask, prompt: ['Once upon a time', 'The fox'] });
  assert.deepEqual(
    two.choices.map(({ index }) => index),
    [0, 1],
  );
  assert.equal(two.choices[0]!.text, one.choices[0]!.text);
  const withIds = { ...ask, prompt: 'Once upon a time', return_token_ids: true };
  const ids = ((await client.completions.create(withIds)).choices[0] as unknown as { prompt_token_ids: number[] }).prompt_token_ids;
  assert.equal((await client.completions.create({ ...ask, prompt: ids })).choices[0]!.text, one.choices[0]!.text);
  let text = '';
  for await (const chunk of await client.completions.create({ ...ask, prompt: 'Once upon a time', stream: true })) {
    text += chunk.choices[0]!.text;
  }
  assert.equal(text, one.choices[0]!.text);
});

test('n seeded choices differ from each other and repeat with the seed; n greedy ones are equal', async () => {
  const ask = { ...story, n: 4, temperature: 1.2, seed: 5 };
  const texts = async (body: typeof ask) => (await client.chat.completions.create(body)).choices.map(({ message }) => message.content);
  const first = await texts(ask);
  assert.equal(first.length, 4);
  assert.equal(new Set(first).size, 4);
  assert.deepEqual(await texts(ask), first);
  assert.equal(new Set(await texts({ ...ask, temperature: 0 })).size, 1);
});

test("a chat's log-probabilities spell its text, and greedy tokens lead their alternatives", async () => {
  const reply = await client.chat.completions.create({ ...story, logprobs: true, top_logprobs: 3 });
  const tokens = reply.choices[0]!.logprobs!.content!;
  assert.equal(tokens.length, reply.usage!.completion_tokens);
  assert.equal(bytesOf(tokens), reply.choices[0]!.message.content);
  for (const { token, logprob, top_logprobs: top } of tokens) {
    assert.equal(top.length, 3);
    assert.deepEqual([top[0]!.token, top[0]!.logprob], [token, logprob]);
    assert.ok(top[0]!.logprob >= top[1]!.logprob && top[1]!.logprob >= top[2]!.logprob && logprob <= 0);
    assert.ok(top.reduce((sum, one) => sum + Math.exp(one.logprob), 0) <= 1 + 1e-6, 'probabilities add up to at most 1');
  }
});

test('a streamed chat has the log-probabilities of the whole one', async () => {
  const whole = await client.chat.completions.create({ ...story, logprobs: true, top_logprobs: 2 });
  const streamed: OpenAI.ChatCompletionTokenLogprob[] = [];
  for await (const { choices } of await client.chat.completions.create({ ...story, logprobs: true, top_logprobs: 2, stream: true })) {
    streamed.push(...(choices[0]?.logprobs?.content ?? []));
  }
  const expected = whole.choices[0]!.logprobs!.content!;
  assert.deepEqual(
    streamed.map(({ token }) => token),
    expected.map(({ token }) => token),
  );
  for (const [i, { logprob }] of streamed.entries()) assert.ok(Math.abs(logprob - expected[i]!.logprob) < 1e-4);
});

test("a completion's log-probabilities spell its text at their offsets", async () => {
  const reply = await client.completions.create({ model: 'x', prompt: 'Once upon a time', temperature: 0, max_tokens: 20, logprobs: 2 });
  const { text, logprobs } = reply.choices[0]!;
  const tokens = logprobs!.tokens!;
  assert.equal(tokens.length, reply.usage!.completion_tokens);
  assert.equal(tokens.join(''), text);
  for (const [i, token] of tokens.entries()) {
    const offset = logprobs!.text_offset![i]!;
    assert.equal(text.slice(offset, offset + token.length), token);
    assert.equal(logprobs!.top_logprobs![i]![token], logprobs!.token_logprobs![i]);
    assert.equal(Math.max(...Object.values(logprobs!.top_logprobs![i]!)), logprobs!.token_logprobs![i], 'greedy takes the best');
  }
});

test('a stop string ends the text before it, whole and streamed', async () => {
  const { content } = (await client.chat.completions.create(story)).choices[0]!.message;
  const stop = content!.split(' ')[3]!;
  const expected = content!.slice(0, content!.indexOf(stop));
  const cut = (await client.chat.completions.create({ ...story, stop: [stop] })).choices[0]!;
  assert.deepEqual([cut.message.content, cut.finish_reason], [expected, 'stop']);
  let streamed = '';
  for await (const { choices } of await client.chat.completions.create({ ...story, stop, stream: true })) {
    streamed += choices[0]?.delta.content ?? '';
  }
  assert.equal(streamed, expected);
});

test('an aborted stream and an aborted request stop running', async () => {
  const running = () => server.metric('troupe:num_requests_running');
  const stream = await client.chat.completions.create({ ...endless, stream: true });
  for await (const _ of stream) {
    if ((await running()) === 1) break; // leaving the loop aborts the stream
  }
  while ((await running()) !== 0) await server.tick('waiting for the aborted stream to stop');

  const controller = new AbortController();
  const rejected = assert.rejects(
    client.chat.completions.create(endless, { signal: controller.signal }),
    (error) => error instanceof OpenAI.APIUserAbortError,
  );
  while ((await running()) !== 1) await server.tick('waiting for the request to run');
  controller.abort();
  await rejected;
  while ((await running()) !== 0) await server.tick('waiting for the aborted request to stop');
});

test('a wrong field is a BadRequestError that names it, and the server goes on', async () => {
  for (const [param, fields] of Object.entries({ top_p: { top_p: 2 }, temperature: { temperature: -1 }, max_tokens: { max_tokens: 0 } })) {
    await assert.rejects(
      client.chat.completions.create({ ...story, ...fields }),
      (error) => error instanceof OpenAI.BadRequestError && error.param === param,
    );
  }
  await assert.rejects(
    client.chat.completions.create({ ...story, messages: user('fox '.repeat(5000)) }),
    (error) => error instanceof OpenAI.BadRequestError && error.code === 'context_length_exceeded',
  );
  assert.equal(await server.status('/ready'), 200);
});

test('with --served-model-name another name is a NotFoundError', async (t) => {
  const named = connect(await startServer(t, ['--served-model-name', 'ernie,default']).ready());
  for (const model of ['ernie', 'default'])
    assert.ok((await named.chat.completions.create({ ...story, model })).choices[0]!.message.content);
  assert.deepEqual(
    (await named.models.list()).data.map(({ id }) => id),
    ['ernie', 'default'],
  );
  await assert.rejects(
    named.chat.completions.create(story),
    (error) => error instanceof OpenAI.NotFoundError && error.code === 'model_not_found' && error.param === 'model',
  );
});
