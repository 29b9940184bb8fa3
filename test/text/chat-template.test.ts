import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { StartupError, TroupeError } from '../../src/core/errors.ts';
import { ChatTemplate, type ChatTemplateInput } from '../../src/text/chat-template.ts';
import { ORACLES, oracleDir } from '../support/oracles.ts';
import { MINI_DIR, readJson, textFixture } from '../support/text-fixtures.ts';

interface Oracle {
  readonly templates: Readonly<Record<string, string>>;
  readonly messages: Readonly<Record<string, ChatTemplateInput['messages']>>;
  readonly tools: readonly unknown[];
  readonly bos_token: string;
  readonly eos_token: string;
  readonly cases: readonly {
    readonly template: string;
    readonly set: string;
    readonly kwargs: { readonly add_generation_prompt?: boolean } & Readonly<Record<string, unknown>>;
    readonly tools: boolean;
    readonly rendered?: string;
    readonly error?: string;
  }[];
  readonly expressions: { readonly messages: string; readonly cases: readonly { readonly template: string; readonly rendered?: string }[] };
}

const ORACLE = readJson<Oracle>(ORACLES, 'chat-templates.json');
const PLAIN = { addGenerationPrompt: false, continueFinalMessage: false, templateKwargs: {}, bosToken: '<s>', eosToken: '</s>' };

const render = (source: string, input: Partial<ChatTemplateInput>): string =>
  new ChatTemplate(source).render({ messages: [], ...PLAIN, ...input });

const isRefusal = (param: string, message: RegExp) => (error: unknown) =>
  error instanceof TroupeError && error.code === 'invalid_request' && error.param === param && message.test(error.message);

for (const [name, source] of Object.entries(ORACLE.templates)) {
  test(`template ${name} renders every set of messages as transformers does`, () => {
    const cases = ORACLE.cases.filter((oracle) => oracle.template === name);
    assert.ok(cases.length > 0);
    for (const oracle of cases) {
      const { add_generation_prompt, ...templateKwargs } = oracle.kwargs;
      const run = () =>
        render(source, {
          messages: ORACLE.messages[oracle.set]!,
          addGenerationPrompt: add_generation_prompt === true,
          templateKwargs,
          ...(oracle.tools ? { tools: ORACLE.tools } : {}),
        });
      if (oracle.rendered === undefined) assert.throws(run, isRefusal('messages', /./), `${oracle.set}: ${oracle.error}`);
      else assert.equal(run(), oracle.rendered, oracle.set);
    }
  });
}

test('single expressions print as in Python', () => {
  const { cases, messages } = ORACLE.expressions;
  assert.ok(cases.length > 40);
  for (const oracle of cases)
    assert.equal(render(oracle.template, { messages: ORACLE.messages[messages]! }), oracle.rendered, oracle.template);
});

test('the embedded model renders its golden prompts, with tools and thinking', () => {
  const template = ChatTemplate.load(MINI_DIR);
  const { cases } = readJson<{
    cases: { messages?: ChatTemplateInput['messages']; tools?: unknown[]; kwargs?: Record<string, unknown>; rendered: string }[];
  }>(MINI_DIR, 'golden.json');
  const chats = cases.filter((golden) => golden.messages !== undefined);
  assert.ok(chats.length > 20);
  for (const { messages, tools, kwargs, rendered } of chats) {
    assert.equal(
      template!.render({ ...PLAIN, messages: messages!, tools, templateKwargs: kwargs ?? {}, addGenerationPrompt: true, bosToken: null }),
      rendered,
    );
  }
});

test('a final message is continued where transformers continues it, or refused where it refuses', () => {
  const { cases } = textFixture<{
    cases: { template: string; messages: ChatTemplateInput['messages']; rendered?: string; error?: string }[];
  }>('continue-final-message.json');
  for (const { template, messages, rendered, error } of cases) {
    const source = ORACLE.templates[template] ?? (template === 'troupe-mini' ? ChatTemplate.load(MINI_DIR)!.source : template);
    const run = () => render(source, { messages, continueFinalMessage: true });
    if (rendered === undefined) assert.throws(run, isRefusal('messages', /./), error);
    else assert.equal(run(), rendered);
  }
});

test('continuing the final message excludes a generation prompt', () => {
  const messages = [{ role: 'assistant', content: 'a' }];
  const run = () => render('{{ messages }}', { messages, continueFinalMessage: true, addGenerationPrompt: true });
  assert.throws(run, isRefusal('continue_final_message', /add_generation_prompt/));
});

test('raise_exception reaches the client as invalid_request with its message', () => {
  const run = () => render("{{ raise_exception('roles must alternate') }}", {});
  assert.throws(run, isRefusal('messages', /roles must alternate/));
});

test('a template that cannot be read is loaded, and refused when it is used', () => {
  const template = new ChatTemplate('{% if %}');
  assert.throws(() => template.render({ messages: [], ...PLAIN }), isRefusal('messages', /line 1/));
});

test('an endless recursion is refused', () => {
  assert.throws(() => render('{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', {}), isRefusal('messages', /recurses too deeply/));
});

test('strftime_now shows the time that is handed in', () => {
  const now = () => new Date(2026, 6, 4, 15, 7, 9);
  assert.equal(
    render("{{ strftime_now('%d %b %Y|%Y-%m-%d %H:%M:%S|%A %B %-d %I %p %j%%') }}", { now }),
    '04 Jul 2026|2026-07-04 15:07:09|Saturday July 4 03 PM 185%',
  );
});

test('an absent token is undefined, not None', () => {
  assert.equal(render('[{{ bos_token }}{{ bos_token is defined }}]', { bosToken: null }), '[False]');
});

/** A checkpoint folder with these files. */
function folderWith<T>(files: Readonly<Record<string, string>>, use: (dir: string) => T): T {
  const dir = mkdtempSync(join(tmpdir(), 'troupe-template-'));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
    return use(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

const load = (files: Readonly<Record<string, string>>): ChatTemplate | null => folderWith(files, (dir) => ChatTemplate.load(dir));

test('chat_template.jinja comes before tokenizer_config.json; without either there is none', () => {
  const config = JSON.stringify({ chat_template: 'config', unk_token: '<unk>' });
  assert.equal(load({ 'chat_template.jinja': 'file', 'tokenizer_config.json': config })?.source, 'file');
  assert.equal(load({ 'tokenizer_config.json': config })?.source, 'config');
  assert.equal(load({ 'tokenizer_config.json': '{}' }), null);
  assert.equal(load({}), null);
  assert.match(ChatTemplate.load(oracleDir('qwen3'))!.source, /add_generation_prompt/);
});

test('of named templates, default is used, and tool_use with tools', () => {
  const chat_template = [
    { name: 'tool_use', template: 'T{{ tools|length }}' },
    { name: 'default', template: 'D{{ unk_token }}' },
  ];
  const template = load({ 'tokenizer_config.json': JSON.stringify({ chat_template, unk_token: { content: '<unk>' } }) })!;
  assert.equal(template.render({ messages: [], ...PLAIN }), 'D<unk>');
  assert.equal(template.render({ messages: [], ...PLAIN, tools: [] }), 'D<unk>');
  assert.equal(template.render({ messages: [], ...PLAIN, tools: [{}] }), 'T1');
});

test('a damaged tokenizer_config.json is a StartupError that names it', () => {
  const isNamed = (error: unknown) => error instanceof StartupError && /tokenizer_config\.json/.test(error.message);
  assert.throws(() => load({ 'tokenizer_config.json': '{' }), isNamed);
  assert.throws(() => load({ 'tokenizer_config.json': '{"chat_template": [{"name": "x"}]}' }), isNamed);
});
