/** Tools through the running server with the embedded model, by the official openai package. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { temporaryFolder } from '../support/checkpoint-folder.ts';
import { Server, startServer } from '../support/server.ts';
import { MINI_DIR, readJson } from '../support/text-fixtures.ts';

type Request = OpenAI.ChatCompletionCreateParamsNonStreaming;
type Message = Pick<OpenAI.ChatCompletionMessage, 'content' | 'tool_calls'> & { reasoning_content?: string | null };
interface Golden {
  readonly messages?: Request['messages'];
  readonly tools?: NonNullable<Request['tools']>;
  readonly kwargs?: object;
  readonly text: string;
}

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
const cases = readJson<{ cases: Golden[] }>(MINI_DIR, 'golden.json').cases.filter(({ tools }) => tools !== undefined);
const bodyOf = ({ messages, tools, kwargs }: Golden): Request =>
  ({ model: 'x', messages, tools, chat_template_kwargs: kwargs, temperature: 0, max_tokens: 160 }) as Request;

const CITY = { type: 'object', properties: { city: { type: 'string', maxLength: 12 } }, required: ['city'], additionalProperties: false };
const MINUTES = { type: 'object', properties: { minutes: { type: 'integer' } }, required: ['minutes'], additionalProperties: false };
const tool = (name: string, parameters: Record<string, unknown>, more: object = {}) => ({
  type: 'function' as const,
  function: { name, parameters, ...more },
});
const TOOLS = [tool('get_weather', CITY), tool('set_timer', MINUTES)];
const joke: Request = {
  model: 'x',
  messages: [{ role: 'user', content: 'Tell me a joke.' }],
  tools: TOOLS,
  temperature: 0,
  max_tokens: 100,
};

const callsOf = ({ tool_calls: calls = [] }: Message) =>
  calls.map((call) => (call.type === 'function' ? [call.function.name, call.function.arguments] : []));

/** A stream as a client joins it; asserts that id, type and name come once, with empty arguments. */
async function streamed(body: Request): Promise<{ message: Message; ids: string[]; finish: string | null; numArgumentPieces: number }> {
  const calls: { name: string; args: string; id: string }[] = [];
  let [content, reasoning, finish, numArgumentPieces] = ['', '', null as string | null, 0];
  for await (const { choices } of await client.chat.completions.create({ ...body, stream: true })) {
    const delta = choices[0]?.delta as (OpenAI.ChatCompletionChunk.Choice.Delta & { reasoning_content?: string }) | undefined;
    content += delta?.content ?? '';
    reasoning += delta?.reasoning_content ?? '';
    for (const piece of delta?.tool_calls ?? []) {
      const call = calls[piece.index];
      if (!call) {
        assert.deepEqual([piece.index, piece.type, piece.function?.arguments], [calls.length, 'function', '']);
        calls.push({ id: piece.id!, name: piece.function!.name!, args: '' });
      } else {
        assert.deepEqual([piece.id, piece.type, piece.function?.name], [undefined, undefined, undefined]);
        call.args += piece.function!.arguments!;
        numArgumentPieces++;
      }
    }
    finish = choices[0]?.finish_reason ?? finish;
  }
  const tool_calls = calls.map(({ id, name, args }) => ({ id, type: 'function' as const, function: { name, arguments: args } }));
  return { message: { content, tool_calls, reasoning_content: reasoning }, ids: calls.map(({ id }) => id), finish, numArgumentPieces };
}

/** The calls in the model's own text, read by a plain JSON parser. */
function expected(text: string): { content: string; calls: [string, unknown][] } {
  const answer = text.split('</think>\n\n').at(-1)!;
  const blocks = [...answer.matchAll(/<tool_call>\n(.*)\n<\/tool_call>/g)].map(
    (block) => JSON.parse(block[1]!) as { name: string; arguments: unknown },
  );
  return { content: blocks.length > 0 ? '' : answer, calls: blocks.map((call) => [call.name, call.arguments]) };
}

test("the model's golden replies: calls, their arguments, and none where it says something", async () => {
  assert.ok(cases.length >= 5);
  for (const golden of cases) {
    const { message, finish_reason } = (await client.chat.completions.create(bodyOf(golden))).choices[0]!;
    const { content, calls } = expected(golden.text);
    assert.deepEqual(
      callsOf(message).map(([name, args]) => [name, JSON.parse(args!)]),
      calls,
      golden.text,
    );
    assert.equal(message.content ?? '', content);
    assert.equal(finish_reason, calls.length > 0 ? 'tool_calls' : 'stop');
    for (const { id } of message.tool_calls ?? []) assert.match(id, /^chatcmpl-tool-[0-9a-f]{32}$/);
  }
});

test('a stream joined is the whole reply, and arguments come in pieces', async () => {
  for (const golden of cases) {
    const { message: whole, finish_reason } = (await client.chat.completions.create(bodyOf(golden))).choices[0]!;
    const { message, finish, numArgumentPieces } = await streamed(bodyOf(golden));
    assert.deepEqual(callsOf(message), callsOf(whole));
    assert.equal(message.content, whole.content ?? '');
    assert.equal(message.reasoning_content, (whole as Message).reasoning_content ?? '');
    assert.equal(finish, finish_reason);
    if (callsOf(whole).length > 0) assert.ok(numArgumentPieces > 2, `${numArgumentPieces} pieces`);
  }
});

test('a conversation goes on with the calls and their results as the API gave them', async () => {
  const ask = cases[0]!;
  const { message } = (await client.chat.completions.create(bodyOf(ask))).choices[0]!;
  const result = { role: 'tool' as const, tool_call_id: message.tool_calls![0]!.id, content: '{"temperature": 19, "condition": "cloudy"}' };
  assert.equal(message.content, null);
  const reply = await client.chat.completions.create({ ...bodyOf(ask), messages: [...ask.messages!, message, result] });
  assert.equal(reply.choices[0]!.message.content, 'It is 19 degrees and cloudy in Lima.');
});

test('without tools, or with tool_choice none, nothing is searched', async () => {
  const say: Request = { ...bodyOf(cases[0]!), tool_choice: 'none' };
  const { message, finish_reason } = (await client.chat.completions.create(say)).choices[0]!;
  assert.equal(message.tool_calls, undefined);
  assert.equal(finish_reason, 'stop');
});

test('required: where the model would rather talk it calls, with arguments that match', async () => {
  const { message, finish_reason } = (await client.chat.completions.create({ ...joke, tool_choice: 'required' })).choices[0]!;
  assert.equal(finish_reason, 'tool_calls');
  assert.ok(callsOf(message).length >= 1);
  for (const [name, args] of callsOf(message)) {
    const { city, minutes } = JSON.parse(args!);
    assert.ok(name === 'get_weather' ? typeof city === 'string' : Number.isInteger(minutes), args);
  }
  const { message: joined, finish } = await streamed({ ...joke, tool_choice: 'required' });
  assert.deepEqual([callsOf(joined), finish], [callsOf(message), finish_reason]);
});

test('a named function is called once, and the finish reason stays stop', async () => {
  const body: Request = { ...joke, tool_choice: { type: 'function', function: { name: 'set_timer' } } };
  const { message, finish_reason } = (await client.chat.completions.create(body)).choices[0]!;
  assert.deepEqual(
    callsOf(message).map(([name]) => name),
    ['set_timer'],
  );
  assert.ok(Number.isInteger(JSON.parse(callsOf(message)[0]![1]!).minutes));
  assert.equal(finish_reason, 'stop');
});

test('parallel_tool_calls false: one call at most', async () => {
  const body: Request = { ...joke, tool_choice: 'required', parallel_tool_calls: false, n: 4, temperature: 1.5, seed: 3 };
  const { choices } = await client.chat.completions.create(body);
  for (const { message } of choices) assert.equal(callsOf(message).length, 1);
});

test('required behind the reasoning: it thinks, then it calls', async () => {
  const body = { ...joke, tool_choice: 'required', chat_template_kwargs: { enable_thinking: true } } as Request;
  const { message, finish_reason } = (await client.chat.completions.create(body)).choices[0]!;
  assert.ok((message as Message).reasoning_content!.length > 0);
  assert.ok(callsOf(message).length >= 1);
  assert.equal(finish_reason, 'tool_calls');
});

test('ids differ between calls and choices', async () => {
  const { choices } = await client.chat.completions.create({ ...joke, tool_choice: 'required', n: 3, temperature: 1, seed: 1 });
  const ids = choices.flatMap(({ message }) => message.tool_calls!.map(({ id }) => id));
  assert.equal(new Set(ids).size, ids.length);
});

test('the plugin of docs/tools.md reads and enforces calls in its own way', async (t) => {
  const file = join(temporaryFolder(t), 'shout.mjs');
  writeFileSync(file, /```js\n(.*?)```/s.exec(readFileSync('docs/tools.md', 'utf8'))![1]!);
  const plugged = await startServer(t, ['--tool-parser-plugin', file, '--tool-call-parser', 'shout']).ready();
  const { message } = (await connect(plugged).chat.completions.create({ ...joke, tool_choice: 'required' })).choices[0]!;
  assert.ok(callsOf(message).length >= 1);
  for (const [, args] of callsOf(message)) JSON.parse(args!);
});

test('a parser that there is not, and a broken plugin, end the start with one line', async (t) => {
  const unreadable = join(temporaryFolder(t), 'unreadable.mjs');
  writeFileSync(unreadable, 'export default {');
  const refused: [string[], RegExp][] = [
    [['--tool-call-parser', 'nope'], /--tool-call-parser: there is no parser "nope"\. Choose auto, none, hermes, .*json\.$/],
    [['--reasoning-parser', 'nope'], /--reasoning-parser: there is no parser "nope"\. Choose auto, none, qwen3, .*deepseek-r1\.$/],
    [['--tool-parser-plugin', 'nowhere.mjs'], /--tool-parser-plugin nowhere\.mjs: cannot be loaded/],
    [['--tool-parser-plugin', unreadable], /unreadable\.mjs: cannot be loaded/],
    [['--tool-parser-plugin', 'test/fixtures/tool-parsers/broken.mjs'], /broken\.mjs: the default export must be a parser/],
  ];
  for (const [args, line] of refused) {
    const failed = startServer(t, args);
    assert.equal(await failed.exited, 2);
    assert.equal(failed.stderr.length, 1, failed.stderr.join('\n'));
    assert.match(failed.stderr[0]!, line);
  }
});
