/** Structured output on the running server, judged by ajv and RegExp: random schemas, patterns and choices, and hostile ones. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { HOSTILE } from '../support/hostile-constraints.ts';
import { randomSchema } from '../support/json-schemas.ts';
import { jsonValidator } from '../support/json-validator.ts';
import { startNeighbour } from '../support/neighbour.ts';
import { randomGrammar } from '../support/random-ebnf.ts';
import { randomPattern } from '../support/random-patterns.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { Server } from '../support/server.ts';

const NUM_SCHEMAS = 500;
const NUM_PATTERNS = 200;
const NUM_GRAMMARS = 50;
const NUM_AT_ONCE = 4;
const MAX_TOKENS = 512;

const server = new Server([]);
before(async () => {
  await server.ready();
});
after(async () => {
  server.kill();
  await server.exited;
});

interface Reply {
  readonly status: number;
  readonly text: string;
  readonly finishReason: string;
  readonly message: string;
  readonly param: string | null;
}

async function ask(fields: object, signal?: AbortSignal): Promise<Reply> {
  const messages = [{ role: 'user', content: 'Extract the name and city as JSON: Mia lives in Oslo.' }];
  const body = JSON.stringify({ messages, max_tokens: MAX_TOKENS, ...fields });
  const reply = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
    ...(signal && { signal }),
  });
  const json = (await reply.json()) as {
    choices?: { message: { content: string }; finish_reason: string }[];
    error?: { message: string; param: string | null };
  };
  const choice = json.choices?.[0];
  return {
    status: reply.status,
    text: choice?.message.content ?? '',
    finishReason: choice?.finish_reason ?? '',
    message: json.error?.message ?? '',
    param: json.error?.param ?? null,
  };
}

async function inParallel<T>(items: readonly T[], run: (item: T, index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      await run(items[index]!, index);
    }
  };
  await Promise.all(Array.from({ length: NUM_AT_ONCE }, lane));
}

/** Half greedy, half sampled. */
const chosen = (index: number) => (index % 2 === 0 ? { temperature: 0 } : { temperature: 0.8, seed: index });

test(`${NUM_SCHEMAS} random schemas: every finished document validates, at least 90 % finish`, async (t) => {
  const random = seededRandom(20_261_123);
  const schemas = Array.from({ length: NUM_SCHEMAS }, () => randomSchema(random));
  let numFinished = 0;
  await inParallel(schemas, async (schema, index) => {
    const response_format = { type: 'json_schema', json_schema: { name: 'answer', schema } };
    const reply = await ask({ response_format, ...chosen(index) });
    assert.equal(reply.status, 200, `${reply.message} for ${JSON.stringify(schema)}`);
    if (reply.finishReason !== 'stop') return;
    numFinished += 1;
    assert.ok(jsonValidator(schema)(JSON.parse(reply.text)), `${reply.text} for ${JSON.stringify(schema)}`);
  });
  t.diagnostic(`${((numFinished / NUM_SCHEMAS) * 100).toFixed(1)} % finished within ${MAX_TOKENS} tokens`);
  assert.ok(numFinished >= 0.9 * NUM_SCHEMAS, `only ${numFinished} of ${NUM_SCHEMAS} finished`);
});

test(`${NUM_PATTERNS} random patterns: every finished text matches from end to end`, async (t) => {
  const random = seededRandom(7);
  const patterns = Array.from({ length: NUM_PATTERNS }, () => randomPattern(random, 1));
  let numFinished = 0;
  await inParallel(patterns, async (pattern, index) => {
    const reply = await ask({ guided_regex: pattern, ...chosen(index) });
    assert.equal(reply.status, 200, `${reply.message} for ${pattern}`);
    if (reply.finishReason !== 'stop') return;
    numFinished += 1;
    assert.match(reply.text, new RegExp(`^(?:${pattern})$`, 'u'));
  });
  t.diagnostic(`${((numFinished / NUM_PATTERNS) * 100).toFixed(1)} % finished`);
  assert.ok(numFinished >= 0.9 * NUM_PATTERNS, `only ${numFinished} of ${NUM_PATTERNS} finished`);
});

test(`${NUM_GRAMMARS} random grammars: every finished text is recognised`, async (t) => {
  const random = seededRandom(14);
  const grammars = Array.from({ length: NUM_GRAMMARS }, () => randomGrammar(random));
  let numFinished = 0;
  await inParallel(grammars, async ({ ebnf, matches }, index) => {
    const reply = await ask({ guided_grammar: ebnf, ...chosen(index) });
    assert.equal(reply.status, 200, `${reply.message} for ${ebnf}`);
    if (reply.finishReason !== 'stop') return;
    numFinished += 1;
    assert.ok(matches(reply.text), `${JSON.stringify(reply.text)} of\n${ebnf}`);
  });
  t.diagnostic(`${((numFinished / NUM_GRAMMARS) * 100).toFixed(1)} % finished`);
  assert.ok(numFinished >= 0.9 * NUM_GRAMMARS, `only ${numFinished} of ${NUM_GRAMMARS} finished`);
});

/** For the answer to a hostile constraint. */
const DEADLINE_MS = 2_000;
/** Less than the computing time that a grammar may have: nobody waits while somebody else's is compiled. */
const MAX_GAP_MS = 500;

test(`${HOSTILE.length} hostile constraints: each answers 400 or finishes within 2 s, and a neighbour streams on`, async (t) => {
  const neighbour = startNeighbour(server.url);
  const statuses = new Map<number, number>();
  let slowestMs = 0;
  try {
    for (const { name, fields } of HOSTILE) {
      const startedAt = performance.now();
      const reply = await ask({ ...fields, max_tokens: 16, temperature: 0 });
      const tookMs = performance.now() - startedAt;
      slowestMs = Math.max(slowestMs, tookMs);
      assert.ok(tookMs <= DEADLINE_MS, `${name} took ${tookMs.toFixed(0)} ms`);
      statuses.set(reply.status, (statuses.get(reply.status) ?? 0) + 1);
      assert.ok(reply.status === 200 || (reply.status === 400 && reply.message !== ''), `${name}: ${reply.status} ${reply.message}`);
    }
  } finally {
    neighbour.stop();
  }
  const sorted = [...(await neighbour.gaps)].sort((a, b) => a - b);
  assert.ok(sorted.length > 500, `only ${sorted.length} events reached the neighbour`);
  const median = sorted[sorted.length >> 1]!;
  t.diagnostic(
    `${JSON.stringify([...statuses])}; slowest ${slowestMs.toFixed(0)} ms; gaps: median ${median.toFixed(1)} ms, p99 ${sorted[Math.floor(sorted.length * 0.99)]!.toFixed(1)} ms, longest ${sorted.at(-1)!.toFixed(1)} ms`,
  );
  assert.ok(sorted.at(-1)! <= MAX_GAP_MS, `the neighbour waited ${sorted.at(-1)!.toFixed(0)} ms`);
  assert.equal((await ask({ messages: [{ role: 'user', content: 'Hello!' }], temperature: 0, max_tokens: 4 })).status, 200);
});
