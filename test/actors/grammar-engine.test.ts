/** The grammar runtime end to end: real cells, a real rank thread with troupe-mini, a frontend. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TroupeError } from '../../src/core/errors.ts';
import { generate } from '../support/generate.ts';
import { constrained, startGrammarServer, textOf } from '../support/grammar-server.ts';
import { ofGrammar, ofRegex, ofSchema, ofText } from '../support/structural-tags.ts';

const PERSON = ofSchema({
  type: 'object',
  properties: { name: { type: 'string', maxLength: 8 }, age: { type: 'integer', minimum: 0, maximum: 99 } },
  required: ['name', 'age'],
});
/** Long, with a choice at every token. */
const LONG = ofRegex('([a-z]{1,9} )+');
/** Compiles for ever. */
const HOSTILE = ofRegex('((a{1,1000}){1,1000}){1,1000}');

const isInvalid =
  (pattern: RegExp) =>
  (error: unknown): boolean =>
    error instanceof TroupeError && error.code === 'invalid_request' && pattern.test(error.message);

test('constrained texts match: literal, regex, grammar and schema, greedy and drawn, each ended by the grammar', async (t) => {
  const server = await startGrammarServer(t);
  const cases: readonly (readonly [string, RegExp])[] = [
    [ofText('hello there, "this" is — forced ✓'), /^hello there, "this" is — forced ✓$/],
    [ofRegex('[0-9]{3}-[0-9]{4}'), /^[0-9]{3}-[0-9]{4}$/],
    [ofGrammar('root ::= "yes" | "no" ("!" | "?")'), /^(yes|no[!?])$/],
    [PERSON, /^\{\s*"name"\s*:\s*"[\s\S]{0,8}"\s*,\s*"age"\s*:\s*[0-9]{1,2}\s*\}$/],
  ];
  for (const [constraint, expected] of cases) {
    for (const temperature of [0, 0.7]) {
      const { text, finish } = await textOf(server, constrained(constraint, { params: { temperature, maxTokens: 400 } }));
      if (finish === 'stop') assert.match(text, expected);
      else assert.match(text, /\s{50}/, 'white space may go on for ever in JSON');
    }
  }
});

test('a text is the same with log-probabilities, which end forced runs, and each token has its own', async (t) => {
  const server = await startGrammarServer(t);
  for (const constraint of [
    ofText('a very long literal that leaves no choice at all'),
    ofRegex('(red|green|blue) [0-9]{2} (apples|pears)'),
  ]) {
    for (const params of [{ temperature: 0 }, { temperature: 1, topK: 0, topP: 1 }]) {
      const run = await textOf(server, constrained(constraint, { params, seed: 5n }));
      const told = await textOf(server, constrained(constraint, { params: { ...params, logprobs: 2 }, seed: 5n }));
      assert.deepEqual([told.text, told.ids, told.finish], [run.text, run.ids, run.finish]);
      assert.equal(told.logprobs.length, told.ids.length);
    }
  }
});

test('choices of one request differ and all match', async (t) => {
  const server = await startGrammarServer(t);
  const request = constrained(ofRegex('[a-z]{5}[0-9]{5}'), { n: 4, params: { temperature: 1.5 } });
  const { choices } = await generate(server.frontend, request);
  for (const { text, finish } of choices) assert.deepEqual([/^[a-z]{5}[0-9]{5}$/.test(text), finish], [true, 'stop'], text);
  assert.equal(new Set(choices.map(({ text }) => text)).size, 4);
});

test('a bad grammar is the request’s own fault, in the words of the compiler, and the next good one works', async (t) => {
  const server = await startGrammarServer(t);
  const bad: readonly (readonly [string, RegExp])[] = [
    [ofRegex('(ab'), /Regex parsing error at position 4: The parenthesis is not closed/],
    [ofGrammar('root ::= "a" | '), /EBNF parser error at line 1/],
    [ofGrammar('root ::= missing'), /Rule "missing" is not defined/],
    [ofSchema({ type: 'frob' }), /Unsupported type "frob"/],
    [ofSchema({ $ref: '#' }), /allows no text at all/],
    ['{"type":"structural_tag","format":{"type":"nope"}}', /Format type not recognized: nope/],
    [ofText('x'.repeat(300_000)), /too large: 3000\d\d characters, at most 262144/],
    [ofRegex(`${'('.repeat(20_000)}a${')'.repeat(20_000)}`), /too large or too deeply nested/],
  ];
  for (const [constraint, message] of bad) await assert.rejects(textOf(server, constrained(constraint)), isInvalid(message));
  assert.equal((await textOf(server, constrained(ofText('fine')))).text, 'fine');
});

test('a grammar that compiles for ever is refused, and nobody else waits for it', async (t) => {
  const server = await startGrammarServer(t);
  const requests = [constrained(LONG, { params: { maxTokens: 250 } }), constrained(null, { params: { maxTokens: 250 } })];
  const expected = [];
  for (const request of requests) expected.push((await textOf(server, request)).ids);
  const running = requests.map((request) => textOf(server, request));
  await Promise.all([0, 1, 2].map(() => assert.rejects(textOf(server, constrained(HOSTILE)), isInvalid(/takes too long to compile/))));
  for (const [i, text] of (await Promise.all(running)).entries()) assert.deepEqual(text.ids, expected[i]);
});

test('300 requests, some aborted, leave no matchers', async (t) => {
  const server = await startGrammarServer(t);
  const constraints = [ofRegex('[a-z]{1,9}'), ofText('abc'), PERSON, LONG];
  for (let round = 0; round < 30; round++) {
    const running = Array.from({ length: 10 }, async (_, i) => {
      const abort = new AbortController();
      const request = constrained(constraints[i % constraints.length]!, { params: { maxTokens: 12 } });
      const isAborted = i % 3 === 0;
      await generate(server.frontend, request, {
        signal: abort.signal,
        onRead: () => {
          if (isAborted) abort.abort();
        },
      });
    });
    await Promise.all(running);
  }
  while (server.host.numNativeMatchers > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(server.host.numMatchers, 0);
  assert.ok(server.host.numCells <= 4);
});

test('a cell that dies takes no text with it: its matchers go on elsewhere', async (t) => {
  const server = await startGrammarServer(t);
  const requests = [0, 1, 2].map((i) =>
    constrained(LONG, {
      params: { temperature: i && 0.9, maxTokens: 150 },
      seed: BigInt(i),
      prompt: { type: 'tokens', tokenIds: [5, 6, 7, i + 8] },
    }),
  );
  const expected = await Promise.all(requests.map((request) => textOf(server, request)));
  let hasDied = false;
  const results = await Promise.all(
    requests.map((request) =>
      generate(server.frontend, request, {
        onRead: ([choice]) => {
          if (hasDied || choice!.ids.length < 20) return;
          hasDied = true;
          assert.ok(server.host.killServingCell());
        },
      }),
    ),
  );
  assert.ok(hasDied);
  for (const [i, { choices }] of results.entries())
    assert.deepEqual([choices[0]!.ids, choices[0]!.finish], [expected[i]!.ids, expected[i]!.finish]);
});

test('an engine that dies in the middle changes no constrained text', async (t) => {
  const server = await startGrammarServer(t);
  const requests = [
    constrained(LONG, { params: { maxTokens: 120 } }),
    constrained(LONG, { params: { temperature: 0.9, maxTokens: 120 }, seed: 3n }),
    constrained(ofRegex('(first|second) word of [a-z]{3,7} and then a long tail without any choice')),
  ];
  const expected = await Promise.all(requests.map((request) => textOf(server, request)));
  let restarted: Promise<void> | null = null;
  const results = await Promise.all(
    requests.map((request) =>
      generate(server.frontend, request, {
        onRead: ([choice]) => {
          if (choice!.ids.length >= 10) restarted ??= server.restart();
        },
      }),
    ),
  );
  await restarted;
  for (const [i, { choices }] of results.entries())
    assert.deepEqual([choices[0]!.ids, choices[0]!.text], [expected[i]!.ids, expected[i]!.text]);
});
