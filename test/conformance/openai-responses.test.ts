/** The official openai package's Responses client against the running server with the embedded model, with its default settings. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import OpenAI from 'openai';
import { makeParseableTextFormat } from 'openai/lib/parser';
import { serverForFile } from '../support/json-client.ts';
import {
  ASK_JSON,
  ASK_STORY,
  ASK_WEATHER,
  JSON_ANSWER,
  PERSON_SCHEMA,
  WEATHER,
  WEATHER_ANSWER,
  WEATHER_REPORT,
} from '../support/mini-prompts.ts';

const { server } = serverForFile();
let client: OpenAI;
before(async () => {
  await server.ready();
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
});

const greedy = { model: 'troupe-mini', temperature: 0 };
const story = { ...greedy, max_output_tokens: 40, input: ASK_STORY };
const { name, description, parameters } = WEATHER;
const weather = { type: 'function' as const, name, description, parameters, strict: false };

test('a response is created, with its usage and its status', async () => {
  const response = await client.responses.create(story);
  assert.match(response.output_text, /fox/i);
  assert.deepEqual([response.status, response.incomplete_details?.reason], ['incomplete', 'max_output_tokens']);
  assert.equal(response.usage?.output_tokens, 40);
  const short = await client.responses.create({ ...greedy, input: 'Hello!' });
  assert.deepEqual([short.status, short.incomplete_details, short.error], ['completed', null, null]);
});

test('the stream helper assembles the created response', async () => {
  const created = await client.responses.create(story);
  const stream = client.responses.stream(story);
  let text = '';
  stream.on('response.output_text.delta', ({ delta, snapshot }) => {
    text += delta;
    assert.equal(snapshot, text);
  });
  const final = await stream.finalResponse();
  assert.deepEqual([final.output_text, text], [created.output_text, created.output_text]);
  assert.deepEqual([final.status, final.usage?.output_tokens], ['incomplete', 40]);
});

test('a raw stream ends with the completed response', async () => {
  const types: string[] = [];
  for await (const event of await client.responses.create({ ...greedy, input: 'Hello!', stream: true })) types.push(event.type);
  assert.deepEqual(types.slice(0, 4), [
    'response.created',
    'response.in_progress',
    'response.output_item.added',
    'response.content_part.added',
  ]);
  assert.deepEqual(types.slice(-4), [
    'response.output_text.done',
    'response.content_part.done',
    'response.output_item.done',
    'response.completed',
  ]);
  assert.ok(types.slice(4, -4).every((type) => type === 'response.output_text.delta'));
});

test('a tool is called, answered, and its result told, with the items sent back', async () => {
  const input: OpenAI.Responses.ResponseInput = [{ role: 'user', content: ASK_WEATHER }];
  const first = await client.responses.create({ ...greedy, tools: [weather], input });
  const call = first.output.find((item) => item.type === 'function_call');
  assert.ok(call);
  assert.deepEqual([call.name, JSON.parse(call.arguments), first.status], ['get_weather', { city: 'Lima' }, 'completed']);
  const output = { type: 'function_call_output' as const, call_id: call.call_id, output: JSON.stringify(WEATHER_REPORT) };
  const second = await client.responses.create({
    ...greedy,
    tools: [weather],
    input: [...input, ...(first.output as OpenAI.Responses.ResponseInput), output],
  });
  assert.equal(second.output_text, WEATHER_ANSWER);
});

test('the same, with previous_response_id instead', async () => {
  const first = await client.responses.stream({ ...greedy, tools: [weather], input: ASK_WEATHER }).finalResponse();
  const call = first.output.find((item) => item.type === 'function_call');
  assert.ok(call);
  assert.deepEqual(JSON.parse(call.arguments), { city: 'Lima' });
  const second = await client.responses.create({
    ...greedy,
    tools: [weather],
    previous_response_id: first.id,
    input: [{ type: 'function_call_output', call_id: call.call_id, output: JSON.stringify(WEATHER_REPORT) }],
  });
  assert.deepEqual([second.output_text, second.previous_response_id], [WEATHER_ANSWER, first.id]);
});

test('required and named tools always call', async () => {
  for (const tool_choice of ['required', { type: 'function', name: 'get_weather' }] as const) {
    const { output } = await client.responses.create({
      ...greedy,
      max_output_tokens: 100,
      tools: [weather],
      tool_choice,
      input: 'Tell me a joke.',
    });
    const call = output.find((item) => item.type === 'function_call');
    assert.equal(call?.name, 'get_weather');
    assert.equal(typeof JSON.parse(call.arguments).city, 'string');
  }
});

test('parse gives the object that the schema describes', async () => {
  const format = makeParseableTextFormat<{ name: string; city: string }>(
    { type: 'json_schema', name: 'person', strict: true, schema: PERSON_SCHEMA as unknown as Record<string, unknown> },
    (text) => JSON.parse(text),
  );
  const response = await client.responses.parse({ ...greedy, input: ASK_JSON, text: { format } });
  assert.deepEqual(response.output_parsed, JSON_ANSWER);
});

test('reasoning is an item of its own, whole and streamed', async () => {
  const ask = { ...greedy, input: 'Hello!', chat_template_kwargs: { enable_thinking: true } };
  const whole = await client.responses.create(ask);
  assert.deepEqual(
    whole.output.map(({ type }) => type),
    ['reasoning', 'message'],
  );
  assert.ok(whole.usage!.output_tokens_details.reasoning_tokens > 0);
  const final = await client.responses.stream(ask).finalResponse();
  const contentOf = (response: OpenAI.Responses.Response) =>
    response.output.map((item) => (item.type === 'reasoning' ? item.content?.map(({ text }) => text).join('') : response.output_text));
  assert.deepEqual(contentOf(final), contentOf(whole));
  const next = await client.responses.create({
    ...greedy,
    input: [...(whole.output as OpenAI.Responses.ResponseInput), { role: 'user', content: 'Thanks!' }],
  });
  assert.ok(next.output_text.length > 0);
});

test('a stored response is retrieved, listed and deleted; then it is unknown', async () => {
  const created = await client.responses.create({ ...story, instructions: 'Be brief.' });
  assert.deepEqual((await client.responses.retrieve(created.id)).output, created.output);
  const items: string[] = [];
  for await (const item of client.responses.inputItems.list(created.id))
    if (item.type === 'message') items.push(JSON.stringify(item.content));
  assert.deepEqual(items, [JSON.stringify([{ type: 'input_text', text: ASK_STORY }])]);
  await client.responses.delete(created.id);
  await assert.rejects(client.responses.retrieve(created.id), OpenAI.NotFoundError);
  await assert.rejects(
    client.responses.create({ ...story, previous_response_id: created.id }),
    (error) => error instanceof OpenAI.NotFoundError && error.code === 'previous_response_not_found',
  );
});

test('an aborted stream ends, and its request stops running', async () => {
  const stream = client.responses.stream({ ...greedy, max_output_tokens: 1500, input: ASK_STORY });
  stream.on('response.output_text.delta', () => stream.abort());
  await assert.rejects(stream.finalResponse(), OpenAI.APIUserAbortError);
  while ((await server.metric('vllm:num_requests_running')) > 0) await server.tick('waiting for the request to end');
});

test('a refusal names the field', async () => {
  for (const [fields, param] of [
    [{ max_output_tokens: 0 }, 'max_output_tokens'],
    [{ background: true }, 'background'],
    [{ tools: [{ type: 'web_search' }] }, 'tools[0].type'],
    [{ text: { format: { type: 'json_schema', name: 'a' } } }, 'text.format.schema'],
    [{ input: 'word '.repeat(3000) }, 'input'],
  ] as const) {
    await assert.rejects(
      client.responses.create({ ...story, ...fields } as OpenAI.Responses.ResponseCreateParamsNonStreaming),
      (error) => error instanceof OpenAI.BadRequestError && error.param === param,
    );
  }
});
