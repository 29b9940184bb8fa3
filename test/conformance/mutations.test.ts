/** Ten thousand damaged request bodies against the running server: every one is answered, none with a 5xx, and nothing else suffers. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ASK_STORY, PERSON_SCHEMA, WEATHER } from '../support/mini-prompts.ts';
import { mutated } from '../support/mutations.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { Server } from '../support/server.ts';

const NUM_REQUESTS = 10_000;
const NUM_CONNECTIONS = 16;

// A short context bounds what a body without max_tokens may ask for.
const server = new Server(['--max-model-len', '160']);
before(async () => {
  await server.ready();
});
after(async () => {
  server.kill();
  await server.exited;
});

const user = (content: unknown) => [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content },
];
const tools = [{ type: 'function', function: WEATHER }];
const short = { model: 'troupe-mini', max_tokens: 2, temperature: 0.7, seed: 1 };

const BODIES: readonly (readonly [path: string, body: object])[] = [
  ['/v1/chat/completions', { ...short, messages: user(ASK_STORY), stop: ['.'], n: 2, logprobs: true, top_logprobs: 2, stream: false }],
  ['/v1/chat/completions', { ...short, messages: user('Hello!'), stream: true, stream_options: { include_usage: true }, top_p: 0.9 }],
  [
    '/v1/chat/completions',
    { ...short, messages: user([{ type: 'text', text: 'Hello!' }]), tools, tool_choice: 'auto', metadata: { a: 'b' } },
  ],
  [
    '/v1/chat/completions',
    {
      ...short,
      messages: user('Mia lives in Oslo.'),
      response_format: { type: 'json_schema', json_schema: { name: 'person', schema: PERSON_SCHEMA, strict: true } },
    },
  ],
  [
    '/v1/chat/completions',
    { ...short, messages: user('Yes?'), guided_choice: ['yes', 'no'], chat_template_kwargs: { enable_thinking: true } },
  ],
  ['/v1/chat/completions', { ...short, messages: [1, 2, 3], bad_words: ['a'], logit_bias: { 5: -100 }, reasoning_max_tokens: 1 }],
  ['/v1/completions', { ...short, prompt: 'Once upon a time', echo: true, logprobs: 1, guided_regex: '[a-z ]+', best_of: 2 }],
  ['/v1/completions', { ...short, prompt: [[1, 2], [3]], stream: true, return_token_ids: true, suffix: { top_k: 3 } }],
  [
    '/v1/responses',
    { model: 'troupe-mini', input: 'Hello!', max_output_tokens: 2, tools: [{ type: 'function', ...WEATHER }], store: false },
  ],
  ['/v1/messages', { model: 'troupe-mini', max_tokens: 2, messages: [{ role: 'user', content: [{ type: 'text', text: 'Hello!' }] }] }],
  ['/v1/embeddings', { model: 'troupe-mini', input: ['Hello!', 'fox'], encoding_format: 'float' }],
  ['/tokenize', { prompt: 'Hello!', add_special_tokens: true }],
  ['/detokenize', { tokens: [1, 2, 3] }],
  ['/v1/abort_requests', { req_ids: ['nobody'] }],
];
const EXTRA_FIELDS = [
  ...new Set(BODIES.flatMap(([, body]) => Object.keys(body))),
  ...['min_tokens', 'min_p', 'top_k', 'presence_penalty', 'repetition_penalty', 'guided_json', 'guided_grammar', 'structural_tag'],
  ...['prompt_token_ids', 'completion_token_ids', 'truncate_prompt_tokens', 'timeout', 'priority', 'prompt_logprobs', 'chat_template'],
  ...['continue_final_message', 'disable_chat_template', 'max_streaming_response_tokens', 'stop_token_ids', 'request_id', 'user'],
  ...['system', 'thinking', 'instructions', 'previous_response_id', 'text', 'reasoning', 'reasoning_effort', 'dimensions', 'unknown_field'],
];

const GOOD = JSON.stringify({ messages: user('Hello!'), temperature: 0, max_tokens: 8 });

async function post(path: string, body: Uint8Array | string): Promise<{ status: number; text: string }> {
  const reply = await fetch(server.url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: body as string });
  return { status: reply.status, text: await reply.text() };
}

test(`${NUM_REQUESTS} mutated bodies: no 5xx, no stack trace, no change for a good request`, async (t) => {
  const expected = await contentOfGood();
  const random = seededRandom(20_261_122);
  const statuses = new Map<number, number>();
  let numSent = 0;
  const send = async (): Promise<void> => {
    while (numSent < NUM_REQUESTS) {
      const number = numSent++;
      const [path, body] = BODIES[random.below(BODIES.length)]!;
      const bytes = mutated(body, EXTRA_FIELDS, random);
      const { status, text } = await post(path, bytes);
      const about = () => `${path} ${status} ${text.slice(0, 500)}\n${Buffer.from(bytes).toString().slice(0, 1500)}`;
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      assert.ok(status >= 200 && status < 500, about());
      assert.ok(!/\n\s+at .+:\d+:\d+|node_modules|internal_error/.test(text), about());
      if (number % 500 === 0) assert.equal(await contentOfGood(), expected);
    }
  };
  await Promise.all(Array.from({ length: NUM_CONNECTIONS }, send));
  assert.equal(await contentOfGood(), expected);
  while ((await server.metric('troupe:num_requests_running')) !== 0) await server.tick('waiting for the last request to end');
  t.diagnostic(`statuses: ${JSON.stringify(Object.fromEntries(statuses))}`);
});

async function contentOfGood(): Promise<string> {
  const { status, text } = await post('/v1/chat/completions', GOOD);
  assert.equal(status, 200, text);
  return JSON.parse(text).choices[0].message.content;
}
