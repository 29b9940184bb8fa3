/** @langchain/openai against the running server with the embedded model. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HumanMessage, ToolMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { ChatOpenAI, OpenAI } from '@langchain/openai';
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

const chat = (maxTokens = 100): ChatOpenAI =>
  new ChatOpenAI({
    model: 'troupe-mini',
    apiKey: 'null',
    temperature: 0,
    maxTokens,
    maxRetries: 0,
    configuration: { baseURL: `${server.url}/v1` },
  });

const weather = tool(async () => JSON.stringify(WEATHER_REPORT), {
  name: WEATHER.name,
  description: WEATHER.description,
  schema: WEATHER.parameters as never,
});

test('a message is answered, with its usage', async () => {
  const reply = await chat().invoke(ASK_STORY);
  assert.match(String(reply.content), /fox/i);
  assert.ok((reply.usage_metadata as { total_tokens: number } | undefined)!.total_tokens > 0);
});

test('a stream joins to the whole answer', async () => {
  const whole = await chat().invoke(ASK_STORY);
  let text = '';
  let numPieces = 0;
  for await (const chunk of await chat().stream(ASK_STORY)) {
    text += String(chunk.content);
    numPieces++;
  }
  assert.equal(text, whole.content);
  assert.ok(numPieces > 3);
});

test('a tool is called, answered, and its result told', async () => {
  const model = chat().bindTools([weather]);
  const question = new HumanMessage(ASK_WEATHER);
  const call = await model.invoke([question]);
  assert.deepEqual(
    call.tool_calls?.map(({ name, args }) => ({ name, args })),
    [{ name: 'get_weather', args: { city: 'Lima' } }],
  );
  const result = new ToolMessage({ content: JSON.stringify(WEATHER_REPORT), tool_call_id: call.tool_calls![0]!.id! });
  assert.equal((await model.invoke([question, call, result])).content, WEATHER_ANSWER);
});

test('a streamed tool call joins to the whole one', async () => {
  const stream = await chat().bindTools([weather]).stream(ASK_WEATHER);
  let joined: Awaited<ReturnType<typeof stream.next>>['value'] | undefined;
  for await (const chunk of stream) joined = joined ? joined.concat(chunk) : chunk;
  assert.deepEqual(
    joined!.tool_calls?.map(({ name, args }: { name: string; args: unknown }) => ({ name, args })),
    [{ name: 'get_weather', args: { city: 'Lima' } }],
  );
});

test('tool_choice any and a named tool always call', async () => {
  for (const tool_choice of ['any', 'get_weather']) {
    const reply = await chat().bindTools([weather], { tool_choice }).invoke('Tell me a joke.');
    assert.equal(reply.tool_calls?.[0]?.name, 'get_weather');
    assert.equal(typeof reply.tool_calls?.[0]?.args.city, 'string');
  }
});

test('structured output follows its schema, by JSON schema, by a function and in JSON mode', async () => {
  for (const method of ['jsonSchema', 'functionCalling', 'jsonMode'] as const) {
    const answer = await chat()
      .withStructuredOutput(PERSON_SCHEMA as never, { name: 'person', method })
      .invoke(ASK_JSON);
    if (method === 'functionCalling') assert.deepEqual(Object.keys(answer), Object.keys(JSON_ANSWER));
    else assert.deepEqual(answer, JSON_ANSWER);
  }
});

test('an aborted call rejects, and its request stops running', async () => {
  const controller = new AbortController();
  const model = new ChatOpenAI({
    model: 'troupe-mini',
    apiKey: 'null',
    temperature: 0,
    maxTokens: 1500,
    maxRetries: 0,
    modelKwargs: { ignore_eos: true },
    configuration: { baseURL: `${server.url}/v1` },
  });
  const stream = await model.stream(ASK_STORY, { signal: controller.signal });
  await assert.rejects(async () => {
    for await (const _ of stream) controller.abort();
  });
  while ((await server.metric('troupe:num_requests_running')) !== 0) await server.tick('waiting for the aborted request to stop');
});

test('a plain completion goes on with its prompt', async () => {
  const model = new OpenAI({
    model: 'gpt-3.5-turbo-instruct',
    apiKey: 'null',
    temperature: 0,
    maxTokens: 12,
    maxRetries: 0,
    configuration: { baseURL: `${server.url}/v1` },
  });
  assert.match(await model.invoke('Once upon a time'), /\w/);
});
