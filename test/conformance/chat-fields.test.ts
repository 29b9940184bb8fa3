/**
 * The fields of both endpoints on a running server with troupe-mini: the facts that FastDeploy's black-box tests and vLLM's
 * entrypoint tests check, and that a stream adds up to the whole reply, whatever was asked for.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ASK_JSON, ASK_STORY, ASK_WEATHER, PERSON_SCHEMA, WEATHER } from '../support/mini-prompts.ts';
import { Server } from '../support/server.ts';
import { parseChunks } from '../support/sse-client.ts';
import { addUp } from '../support/stream-sum.ts';

const server = new Server(['--max-logprobs', '-1']);
before(async () => {
  await server.ready();
});
after(async () => {
  server.kill();
  await server.exited;
});

const CHAT = '/v1/chat/completions';
const TEXT = '/v1/completions';

async function post(path: string, body: object): Promise<{ readonly status: number; readonly text: string }> {
  const reply = await fetch(server.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: reply.status, text: await reply.text() };
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into replies of several shapes
async function ask(path: string, body: object): Promise<any> {
  const { status, text } = await post(path, body);
  assert.equal(status, 200, text);
  return JSON.parse(text);
}

const user = (content: unknown) => [{ role: 'user', content }];
const seeded = { temperature: 0.8, seed: 7, max_tokens: 24 };
const chat = (fields: object, content: unknown = ASK_STORY) => ({ messages: user(content), ...seeded, ...fields });
const text = (fields: object) => ({ prompt: 'Once upon a time', ...seeded, ...fields });
const tools = [{ type: 'function', function: WEATHER }];

const FEATURES: readonly (readonly [feature: string, path: string, body: object])[] = [
  ['a chat', CHAT, chat({})],
  ['n', CHAT, chat({ n: 3 })],
  ['logprobs', CHAT, chat({ logprobs: true, top_logprobs: 3 })],
  [
    'processed log-probabilities',
    CHAT,
    chat({ logprobs: true, top_logprobs: 2, temp_scaled_logprobs: true, top_p_normalized_logprobs: true, top_p: 0.7 }),
  ],
  ['log-probabilities without text', CHAT, chat({ logprobs: true, top_logprobs: 1, include_logprobs_decode_token: false })],
  ['prompt_logprobs', CHAT, chat({ prompt_logprobs: 2, n: 2 })],
  ['token ids', CHAT, chat({ return_token_ids: true })],
  ['token ids of Chinese', CHAT, chat({ return_token_ids: true, logprobs: true }, '讲一个小故事。')],
  ['a stop string', CHAT, chat({ stop: [' a', 'fox'], max_tokens: 60 })],
  ['a stop string that stays', CHAT, chat({ stop: '.', include_stop_str_in_output: true, max_tokens: 60 })],
  ['penalties and bans', CHAT, chat({ presence_penalty: 1, frequency_penalty: 1, repetition_penalty: 1.2, bad_words: ['fox', 'the'] })],
  ['min_tokens', CHAT, chat({ min_tokens: 20, stop: ['.'] })],
  ['thinking', CHAT, chat({ enable_thinking: true, max_tokens: 80 }, 'What is 27 + 45?')],
  ['hidden thinking', CHAT, chat({ enable_thinking: true, include_reasoning: false, max_tokens: 80 }, 'What is 27 + 45?')],
  [
    'limited thinking',
    CHAT,
    chat({ enable_thinking: true, reasoning_max_tokens: 5, response_max_tokens: 8, max_tokens: 80 }, 'What is 27 + 45?'),
  ],
  ['a tool that is called', CHAT, chat({ tools, temperature: 0, max_tokens: 60, return_token_ids: true }, ASK_WEATHER)],
  ['a required tool', CHAT, chat({ tools, tool_choice: 'required', max_tokens: 100 }, 'Hello!')],
  [
    'a named tool, twice',
    CHAT,
    chat({ tools, tool_choice: { type: 'function', function: { name: WEATHER.name } }, n: 2, max_tokens: 100 }, 'Hi'),
  ],
  ['a tool that is not called', CHAT, chat({ tools }, 'Tell me a joke.')],
  ['a JSON schema', CHAT, chat({ response_format: { type: 'json_schema', json_schema: { name: 'p', schema: PERSON_SCHEMA } } }, ASK_JSON)],
  ['a choice', CHAT, chat({ guided_choice: ['yes', 'no', 'maybe'], n: 4 }, 'Is it?')],
  [
    'a continued message',
    CHAT,
    { ...chat({ continue_final_message: true, echo: true }), messages: [...user('Hi'), { role: 'assistant', content: 'Well, ' }] },
  ],
  ['long pieces', CHAT, chat({ max_streaming_response_tokens: 7, return_token_ids: true, logprobs: true })],
  ['a completion', TEXT, text({})],
  ['several prompts', TEXT, text({ prompt: ['The sea is', 'Once', '你好'], n: 2 })],
  ['log-probabilities of a completion', TEXT, text({ logprobs: 3 })],
  ['echo', TEXT, text({ echo: true, n: 2 })],
  ['echo with log-probabilities', TEXT, text({ echo: true, logprobs: 2, prompt: ['The sea is', '你好，'] })],
  ['a scored prompt', TEXT, text({ echo: true, logprobs: 1, max_tokens: 0 })],
  ['prompt_logprobs of a completion', TEXT, text({ prompt_logprobs: 1, return_token_ids: true })],
  ['a regex', TEXT, text({ guided_regex: '[a-f]{3,9}' })],
  ['suffix parameters', TEXT, text({ suffix: { stop: ['.'], min_tokens: 3 } })],
];

describe('the chunks of a stream add up to the whole reply with', () => {
  for (const [feature, path, body] of FEATURES) {
    it(feature, async () => {
      const whole = await ask(path, body);
      const { status, text: events } = await post(path, { ...body, stream: true, stream_options: { include_usage: true } });
      assert.equal(status, 200, events);
      const { choices, usage } = addUp(parseChunks(events));
      assert.deepEqual(choices, addUp([whole]).choices);
      assert.deepEqual([usage.prompt_tokens, usage.completion_tokens], [whole.usage.prompt_tokens, whole.usage.completion_tokens]);
    });
  }
});

describe('continuous_usage_stats', () => {
  for (const [path, body] of [
    [CHAT, chat({})],
    [TEXT, text({})],
  ] as const) {
    it(`${path} never counts backwards, and ends at the exact count`, async () => {
      const { text: events } = await post(path, { ...body, stream: true, stream_options: { continuous_usage_stats: true } });
      const chunks = parseChunks(events);
      const counts = chunks.map(({ usage }) => usage.completion_tokens);
      assert.ok(counts.every((count, i) => count >= (counts[i - 1] ?? 0)));
      assert.deepEqual(chunks.at(-1).choices, []);
      assert.deepEqual(counts.slice(-2), [24, 24]);
    });
  }
});

describe('seed', () => {
  it('gives the same text and log-probabilities again, and another one gives another text', async () => {
    const body = chat({ temperature: 1.2, logprobs: true });
    const [first, again, other] = [await ask(CHAT, body), await ask(CHAT, body), await ask(CHAT, { ...body, seed: 8 })];
    assert.deepEqual(first.choices, again.choices);
    assert.notEqual(first.choices[0].message.content, other.choices[0].message.content);
  });
});

describe('usage', () => {
  it('adds up, within max_tokens and the min_tokens of metadata', async () => {
    for (const [path, body] of [
      [CHAT, chat({ metadata: { min_tokens: 10 }, max_tokens: 20, n: 2 })],
      [TEXT, text({ suffix: { min_tokens: 10 }, max_tokens: 20, n: 2 })],
    ] as const) {
      const { usage } = await ask(path, body);
      assert.ok(usage.completion_tokens >= 20 && usage.completion_tokens <= 40);
      assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    }
  });

  it('is one token, and the reason length, when min_tokens and max_tokens are 1', async () => {
    for (const [path, body] of [
      [CHAT, chat({ min_tokens: 1, max_tokens: 1 })],
      [TEXT, text({ min_tokens: 1, max_tokens: 1 })],
    ] as const) {
      const { usage, choices } = await ask(path, body);
      assert.deepEqual([usage.completion_tokens, choices[0].finish_reason], [1, 'length']);
    }
  });

  it('of best_of counts every candidate', async () => {
    const { usage, choices } = await ask(TEXT, text({ best_of: 4, max_tokens: 5, ignore_eos: true }));
    assert.deepEqual([choices.length, usage.completion_tokens], [1, 20]);
  });
});

describe('best_of', () => {
  it('answers with the candidate whose tokens have the highest mean log-probability', async () => {
    const body = text({ temperature: 1.5, max_tokens: 8, ignore_eos: true, logprobs: 0 });
    const { choices } = await ask(TEXT, { ...body, n: 6 });
    const scored = choices.map(({ text: candidate, logprobs }: { text: string; logprobs: { token_logprobs: number[] } }) => ({
      candidate,
      mean: logprobs.token_logprobs.reduce((sum, value) => sum + value, 0) / logprobs.token_logprobs.length,
    }));
    scored.sort((a: { mean: number }, b: { mean: number }) => b.mean - a.mean);
    const best = await ask(TEXT, { ...body, n: 2, best_of: 6 });
    assert.deepEqual(
      best.choices.map((choice: { text: string }) => choice.text),
      scored.slice(0, 2).map(({ candidate }: { candidate: string }) => candidate),
    );
  });
});

describe('log-probabilities', () => {
  it('of a scored prompt are those that its tokens had when they were generated', async () => {
    const generated = await ask(TEXT, text({ temperature: 0, max_tokens: 12, logprobs: 2, return_token_ids: true }));
    const [{ prompt_token_ids: promptIds, completion_token_ids: ids, logprobs }] = generated.choices;
    const scored = await ask(TEXT, { prompt: [...promptIds, ...ids], echo: true, logprobs: 2, max_tokens: 0 });
    const last = scored.choices[0].logprobs.token_logprobs.slice(-ids.length);
    for (const [i, value] of last.entries()) assert.ok(Math.abs(value - logprobs.token_logprobs[i]) < 2e-4, `token ${i}`);
    assert.deepEqual(scored.choices[0].logprobs.tokens.slice(-ids.length), logprobs.tokens);
  });

  it('of the whole vocabulary sum to 1, and shorter lists are their beginning', async () => {
    const body = chat({ temperature: 0, max_tokens: 2, logprobs: true });
    const tops = async (top_logprobs: number) =>
      (await ask(CHAT, { ...body, top_logprobs })).choices[0].logprobs.content.map(
        ({ top_logprobs: top }: { top_logprobs: { token: string; logprob: number }[] }) => top,
      );
    const [all, few] = [await tops(-1), await tops(5)];
    for (const [i, top] of all.entries()) {
      const sum = top.reduce((total: number, { logprob }: { logprob: number }) => total + Math.exp(logprob), 0);
      assert.ok(Math.abs(sum - 1) < 1e-3, String(sum));
      assert.deepEqual(top.slice(0, 5), few[i]);
    }
  });

  it('have the sampled token among the alternatives exactly when it is one of the best', async () => {
    const { choices } = await ask(CHAT, chat({ temperature: 1.5, logprobs: true, top_logprobs: 3 }));
    for (const { token, logprob, top_logprobs: top } of choices[0].logprobs.content) {
      assert.equal(top.length, 3);
      const isAmong = top.some((other: { token: string }) => other.token === token);
      assert.equal(isAmong, logprob >= top[2].logprob, token);
    }
  });

  it('are 0 when the top_p set has one token', async () => {
    const { choices } = await ask(CHAT, chat({ top_p: 1e-6, logprobs: true, top_p_normalized_logprobs: true }));
    assert.ok(choices[0].logprobs.content.every(({ logprob }: { logprob: number }) => logprob === 0));
  });

  it('of 21 alternatives are a 400 by default, streaming or not, and the server answers afterwards', async (t) => {
    const plain = new Server([]);
    t.after(async () => {
      plain.kill();
      await plain.exited;
    });
    await plain.ready();
    const send = (body: object) =>
      fetch(plain.url + CHAT, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    for (const stream of [false, true]) {
      const refused = await send(chat({ logprobs: true, top_logprobs: 21, stream }));
      assert.equal(refused.status, 400);
      assert.equal(((await refused.json()) as { error: { param: string } }).error.param, 'top_logprobs');
    }
    assert.equal((await send(chat({ max_tokens: 2 }))).status, 200);
  });
});

describe('token ids', () => {
  it('of a reply, sent again as the prompt with what was generated, continue to the same text', async () => {
    const body = chat({ temperature: 0, max_tokens: 30, return_token_ids: true });
    const whole = (await ask(CHAT, body)).choices[0].message;
    const cut = (await ask(CHAT, { ...body, max_tokens: 10 })).choices[0].message;
    const rest = { temperature: 0, max_tokens: 20, return_token_ids: true };
    const continued = [
      await ask(CHAT, { ...rest, prompt_token_ids: [...cut.prompt_token_ids, ...cut.completion_token_ids] }),
      await ask(CHAT, { ...rest, messages: body.messages, completion_token_ids: cut.completion_token_ids }),
    ];
    for (const { choices } of continued) assert.deepEqual(choices[0].message.completion_token_ids, whole.completion_token_ids.slice(10));
  });

  it('come with the texts of the prompt and of the raw output', async () => {
    const { choices } = await ask(CHAT, chat({ tools, temperature: 0, max_tokens: 60, return_token_ids: true }, ASK_WEATHER));
    const { prompt_tokens: prompt, completion_tokens: output, tool_calls: calls } = choices[0].message;
    assert.ok(prompt.includes(ASK_WEATHER) && prompt.includes('<|im_start|>'));
    assert.match(output, /^<tool_call>\n\{"name": "get_weather", "arguments": \{"city": "Lima"\}\}\n<\/tool_call>$/);
    assert.deepEqual(JSON.parse(calls[0].function.arguments), { city: 'Lima' });
  });
});

describe('the prompt', () => {
  it('written by hand with disable_chat_template is the one that the template writes', async () => {
    const templated = await ask(CHAT, chat({ return_token_ids: true, temperature: 0 }));
    const prompt = templated.choices[0].message.prompt_tokens;
    const verbatim = await ask(CHAT, chat({ return_token_ids: true, temperature: 0, disable_chat_template: true }, prompt));
    assert.deepEqual(verbatim.choices[0].message, templated.choices[0].message);
  });

  it('goes through a template of the request', async () => {
    const { choices } = await ask(
      CHAT,
      chat({ return_token_ids: true, chat_template: '{{ x }}{{ messages[0].content }}', chat_template_kwargs: { x: 'A ' } }, 'fox'),
    );
    assert.equal(choices[0].message.prompt_tokens, 'A fox');
  });

  it('may be empty of sense: other languages, spaces, markup, broken characters', async () => {
    const texts = [
      '',
      '   ',
      'Привет! 你好 مرحبا',
      '\u0000\u0007\ufffd',
      "'; DROP TABLE users; --",
      '<script>alert(1)</script>',
      '😀'.repeat(50),
      '\ud800',
    ];
    for (const content of texts) await ask(CHAT, chat({ max_tokens: 2 }, content));
  });

  it('that is too long is a 400 with the code of OpenAI, and may be cut instead', async () => {
    const long = 'word '.repeat(4000);
    const refused = await post(TEXT, text({ prompt: long }));
    assert.equal(refused.status, 400);
    assert.equal(JSON.parse(refused.text).error.code, 'context_length_exceeded');
    const { usage } = await ask(TEXT, text({ prompt: long, truncate_prompt_tokens: 10, max_tokens: 1 }));
    assert.equal(usage.prompt_tokens, 10);
  });
});

describe('stops and bans', () => {
  it('a stop string ends the text before it, or with it', async () => {
    const free = (await ask(CHAT, chat({ temperature: 0, max_tokens: 60 }))).choices[0].message.content as string;
    const stop = free.slice(10, 14);
    const cut = await ask(CHAT, chat({ temperature: 0, max_tokens: 60, stop }));
    assert.equal(cut.choices[0].message.content, free.slice(0, free.indexOf(stop)));
    const kept = await ask(CHAT, chat({ temperature: 0, max_tokens: 60, stop: [stop], include_stop_str_in_output: true }));
    assert.equal(kept.choices[0].message.content, free.slice(0, free.indexOf(stop) + stop.length));
    assert.deepEqual([cut.choices[0].finish_reason, kept.choices[0].finish_reason], ['stop', 'stop']);
  });

  it('a banned word is in the free text, and not in the banned one', async () => {
    const reply = async (fields: object) => (await ask(CHAT, chat({ temperature: 0, max_tokens: 40, ...fields }))).choices[0].message;
    assert.match((await reply({})).content, / fox /);
    assert.doesNotMatch((await reply({ bad_words: ['fox'] })).content, /fox/);
    const id = (await reply({ return_token_ids: true })).completion_token_ids[7];
    const banned = await reply({ return_token_ids: true, bad_words_token_ids: [id] });
    assert.equal(banned.completion_token_ids.includes(id), false);
  });

  it('a biased token is the only one that comes', async () => {
    const ids = (await ask(TEXT, text({ logit_bias: { 9: 100 }, max_tokens: 5, return_token_ids: true }))).choices[0].completion_token_ids;
    assert.deepEqual(ids, [9, 9, 9, 9, 9]);
    assert.equal((await post(TEXT, text({ logit_bias: { 999999: 1 } }))).status, 400);
  });
});

describe('timeout', () => {
  it('ends what takes longer with 408, or with an event in a stream', async () => {
    const body = chat({ timeout: 0.05, max_tokens: 1500, ignore_eos: true, min_tokens: 1500, n: 8 });
    const whole = await post(CHAT, body);
    assert.deepEqual([whole.status, JSON.parse(whole.text).error.code], [408, 'timeout']);
  });
});
