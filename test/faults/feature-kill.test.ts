/**
 * kill -9 on the engine under requests that use each feature: what the client has at the end is what it has of an undisturbed run.
 * Some are killed in the middle of their output, some before it begins, some while a pause holds them. That each of them really was
 * continued at another engine is read from the server's own count.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { joinReply } from '../support/joined-reply.ts';
import { ASK_STORY, ASK_WEATHER, PERSON_SCHEMA, WEATHER } from '../support/mini-prompts.ts';
import { Server, startServer } from '../support/server.ts';

const CHAT = '/v1/chat/completions';
const TEXT = '/v1/completions';
const RESPONSES = '/v1/responses';
const MESSAGES = '/v1/messages';
const EMBEDDINGS = '/v1/embeddings';

interface Case {
  readonly name: string;
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** Requests that the frontend makes of it. */
  readonly numRequests?: number;
  /** Events before the first token's. */
  readonly numOpeningEvents?: number;
}

const user = (content: unknown) => [{ role: 'user', content }];
const seeded = { temperature: 0.8, seed: 11, max_tokens: 80, stream: true };
const chat = (name: string, fields: { readonly n?: number; readonly [field: string]: unknown }, content: unknown = ASK_STORY): Case => ({
  name,
  path: CHAT,
  numOpeningEvents: fields.n ?? 1,
  body: { messages: user(content), ...seeded, return_token_ids: true, ...fields },
});
const text = (name: string, fields: object): Case => ({
  name,
  path: TEXT,
  body: { prompt: 'Once upon a time', ...seeded, return_token_ids: true, ...fields },
});
const tools = [{ type: 'function', function: WEATHER }];
/** A call that takes its time. */
const LETTER = {
  name: 'write_letter',
  description: 'Write a letter.',
  parameters: {
    type: 'object',
    properties: { lines: { type: 'array', items: { type: 'integer' }, minItems: 15, maxItems: 20 } },
    required: ['lines'],
    additionalProperties: false,
  },
};
const SUM = 'What is 27 + 45?';
const LETTERS = '([a-z]+ )+';
const LIST_SCHEMA = { type: 'array', items: PERSON_SCHEMA, minItems: 8, maxItems: 9 };

const CASES: readonly Case[] = [
  chat('a called tool', { tools, temperature: 0, enable_thinking: true, max_tokens: 120 }, ASK_WEATHER),
  chat(
    'a required tool, four choices',
    { tools: [{ type: 'function', function: LETTER }], tool_choice: 'required', n: 4, max_tokens: 150 },
    'Hello!',
  ),
  chat('thinking', { enable_thinking: true, min_tokens: 30, max_tokens: 80 }, SUM),
  chat(
    'limited thinking',
    { enable_thinking: true, reasoning_max_tokens: 20, response_max_tokens: 30, min_tokens: 60, max_tokens: 80 },
    SUM,
  ),
  chat('log-probabilities', { logprobs: true, top_logprobs: 5 }),
  chat('processed log-probabilities', {
    logprobs: true,
    top_logprobs: 2,
    temp_scaled_logprobs: true,
    top_p_normalized_logprobs: true,
    top_p: 0.9,
  }),
  chat('log-probabilities of the prompt', { prompt_logprobs: 2, n: 2 }),
  chat('four choices', { n: 4 }),
  chat('a stop string', { stop: ['zzz', 'forest', 'fox '], min_tokens: 30, max_tokens: 200 }),
  chat('penalties and bans', { presence_penalty: 1, frequency_penalty: 1, repetition_penalty: 1.2, bad_words: ['fox', 'the'] }),
  chat('joined tokens', { max_streaming_response_tokens: 3 }),
  chat('a JSON schema', {
    response_format: { type: 'json_schema', json_schema: { name: 'p', schema: LIST_SCHEMA } },
    logprobs: true,
    max_tokens: 200,
  }),
  chat(
    'a constraint after thinking',
    { enable_thinking: true, reasoning_max_tokens: 12, guided_regex: LETTERS, ignore_eos: true, max_tokens: 160 },
    SUM,
  ),
  text('a regex', { guided_regex: LETTERS, n: 2, ignore_eos: true, max_tokens: 160 }),
  text('a grammar', { guided_grammar: 'root ::= ("ab" | "cd" | "e" | " ")+', ignore_eos: true, max_tokens: 160 }),
  text('echo with log-probabilities', { echo: true, logprobs: 2 }),
  { ...text('best_of', { best_of: 4, n: 2, stream: false, ignore_eos: true, max_tokens: 60, logprobs: 1 }) },
  { ...text('several prompts', { prompt: ['The sea is', 'Once'], n: 2 }), numRequests: 2 },
  {
    name: 'a response that calls a tool',
    path: RESPONSES,
    body: {
      input: 'Hello!',
      stream: true,
      seed: 5,
      tools: [{ type: 'function', ...LETTER, strict: true }],
      tool_choice: 'required',
      max_output_tokens: 150,
    },
    numOpeningEvents: 3,
  },
  { name: 'a response', path: RESPONSES, body: { input: ASK_STORY, stream: true, seed: 5, max_output_tokens: 60 }, numOpeningEvents: 4 },
  {
    name: "Anthropic's message with thinking",
    path: MESSAGES,
    body: { messages: user(SUM), stream: true, seed: 5, max_tokens: 80, min_tokens: 30, thinking: { type: 'enabled', budget_tokens: 20 } },
    numOpeningEvents: 3,
  },
  {
    name: "Anthropic's message with a tool",
    path: MESSAGES,
    body: {
      messages: user('Hello!'),
      stream: true,
      seed: 5,
      max_tokens: 150,
      tools: [{ name: LETTER.name, description: LETTER.description, input_schema: LETTER.parameters }],
      tool_choice: { type: 'any' },
    },
    numOpeningEvents: 3,
  },
];

/** About twelve tokens a sentence, different for each number. */
const longText = (n: number, numSentences = 60) =>
  Array.from({ length: numSentences }, (_, i) => `The fox number ${n * 1000 + i} saw the river.`).join(' ');
const LONG_PROMPTS: readonly Case[] = [
  // The first to be read, and long: it is not over before the others have come.
  { name: 'embeddings', path: EMBEDDINGS, body: { input: [longText(5, 160), longText(6, 160)] }, numRequests: 2 },
  text('a scored prompt', { prompt: longText(3), echo: true, logprobs: 1, max_tokens: 0, stream: false }),
  text('a long prompt, echoed with its log-probabilities', { prompt: longText(2), echo: true, logprobs: 1, max_tokens: 5 }),
  chat('log-probabilities of a long prompt', { prompt_logprobs: 1, max_tokens: 5 }, longText(1)),
];

interface Running {
  readonly reply: Promise<string>;
  numEvents: number;
  isOver: boolean;
}

/** Long streams beside the others: each step takes longer, so that nothing ends before the fault comes. */
const BACKGROUND = Array.from({ length: 16 }, (_, i) =>
  chat(`background ${i}`, { temperature: 1, seed: i, ignore_eos: true, max_tokens: 200, return_token_ids: false }),
);

function start(server: Server, { path, body }: Case): Running {
  const running = { numEvents: 0, isOver: false, reply: read() };
  running.reply.finally(() => (running.isOver = true)).catch(() => {}); // awaited later
  return running;

  async function read(): Promise<string> {
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
    const reply = await fetch(server.url + path, init);
    if (reply.status !== 200) throw new Error(`HTTP ${reply.status}: ${await reply.text()}`);
    const pieces: string[] = [];
    const decoder = new TextDecoder();
    for await (const bytes of reply.body!) {
      const piece = decoder.decode(bytes as Uint8Array, { stream: true });
      pieces.push(piece);
      running.numEvents += piece.split('\n\n').length - 1;
    }
    return pieces.join('');
  }
}

interface Fault {
  readonly isDue: (running: ReadonlyMap<Case, Running>) => boolean | Promise<boolean>;
  readonly happen: (running: readonly Running[]) => Promise<void> | void;
}

const numRequestsOf = (cases: readonly Case[]): number => cases.reduce((sum, { numRequests = 1 }) => sum + numRequests, 0);

/** Compiling takes a while: these start first, so that none of the others is over before all have begun. */
const hasGrammar = ({ body }: Case): boolean =>
  ['guided_regex', 'guided_grammar', 'response_format', 'tool_choice'].some((field) => field in body);

/** Runs all at once, undisturbed and with the fault, and compares every reply. */
async function compare(server: Server, cases: readonly Case[], { isDue, happen }: Fault): Promise<void> {
  const expected = await Promise.all(cases.map((it) => start(server, it).reply));
  const engine = server.pidOf('engine');
  const numContinued = await server.metric('troupe:requests_continued_total');

  const running = new Map<Case, Running>();
  for (const stage of [cases.filter(hasGrammar), cases.filter((it) => !hasGrammar(it))]) {
    for (const it of stage) running.set(it, start(server, it));
    while (stage.length > 0 && !(await isDue(running))) await server.tick('waiting for the moment of the fault');
  }
  const tooEarly = cases.filter((it) => running.get(it)!.isOver).map(({ name }) => name);
  assert.deepEqual(tooEarly, [], 'these were over before the fault');
  await happen(cases.map((it) => running.get(it)!));
  const actual = await Promise.all(cases.map((it) => running.get(it)!.reply));
  for (const [i, { name, path }] of cases.entries()) {
    assertClose(joinReply(path, actual[i]!), joinReply(path, expected[i]!), name);
  }
  assert.notEqual(server.pidOf('engine'), engine, 'the engine was replaced');
  assert.equal(
    (await server.metric('troupe:requests_continued_total')) - numContinued,
    numRequestsOf(cases),
    'every request was continued, once',
  );
}

/** Equal, numbers within 1e-4. */
// biome-ignore lint/suspicious/noExplicitAny: JSON
function assertClose(actual: any, expected: any, at: string): void {
  if (typeof expected === 'number' && typeof actual === 'number') {
    assert.ok(Math.abs(actual - expected) <= 1e-4, `${at}: ${actual} instead of ${expected}`);
  } else if (expected === null || typeof expected !== 'object') {
    assert.equal(actual, expected, at);
  } else {
    assert.deepEqual(Object.keys(actual ?? {}), Object.keys(expected), at);
    for (const key of Object.keys(expected)) assertClose(actual[key], expected[key], `${at}.${key}`);
  }
}

const haveBegun = (all: ReadonlyMap<Case, Running>): boolean =>
  [...all].every(([{ body, numOpeningEvents = 0 }, it]) => it.isOver || !body.stream || it.numEvents >= numOpeningEvents + 2);

async function operate(server: Server, path: string): Promise<void> {
  const reply = await fetch(server.url + path, { method: 'POST' });
  assert.equal(reply.status, 200, await reply.text());
}

describe('what the client has at the end does not change when the engine is killed', () => {
  const server = new Server(['--max-num-seqs', '80']);
  before(async () => {
    await server.ready();
  });
  after(async () => {
    server.kill();
    await server.exited;
  });
  const cases = [...CASES, ...BACKGROUND];

  test('in the middle of its output', async () => {
    await compare(server, cases, { isDue: haveBegun, happen: () => void server.killProcess('engine') });
  });

  test('while a pause holds it', async () => {
    await compare(server, cases, {
      isDue: haveBegun,
      happen: async () => {
        await operate(server, '/v1/pause?mode=keep');
        const engine = server.killProcess('engine');
        while ([null, engine].includes(server.pidOf('engine'))) await server.tick('waiting for another engine');
        await operate(server, '/v1/resume');
      },
    });
  });
});

test('nor when it is killed while it reads the prompts', async (t) => {
  // Few tokens in each step, and nothing remembered from the undisturbed run: reading takes a while.
  const server = startServer(t, ['--max-num-seqs', '8', '--max-num-batched-tokens', '8', '--no-enable-prefix-caching']);
  await server.ready();
  await compare(server, LONG_PROMPTS, {
    isDue: async () => {
      const [numRunning, numWaiting] = await Promise.all(['running', 'waiting'].map((it) => server.metric(`troupe:num_requests_${it}`)));
      return numRunning! + numWaiting! >= numRequestsOf(LONG_PROMPTS);
    },
    happen: (running) => {
      server.killProcess('engine');
      const told = LONG_PROMPTS.filter(({ numOpeningEvents = 0 }, i) => running[i]!.numEvents > numOpeningEvents);
      assert.deepEqual(
        told.map(({ name }) => name),
        [],
      );
    },
  });
});
