/** Fields that change what the generator is asked for, or in which pieces its answer is told. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { GenerateRequest } from '../../src/core/generation.ts';
import { CHAT, COMPLETIONS, call, HELLO, testApi } from '../support/api-client.ts';
import type { ScriptedDelta } from '../support/fake-generator.ts';
import { parseChunks } from '../support/sse-client.ts';

const base = (path: string) => (path === CHAT ? { messages: HELLO } : { prompt: 'x' });

async function requestOf(path: string, fields: object): Promise<GenerateRequest> {
  const { api, generator } = testApi();
  const { status, json } = await call(api, path, { body: { ...base(path), ...fields } });
  assert.equal(status, 200, JSON.stringify(json));
  return generator.requests[0]!;
}

async function refusal(path: string, fields: object): Promise<[number, string, string]> {
  const { api } = testApi();
  const { status, json } = await call(api, path, { body: { ...base(path), ...fields } });
  return [status, json.error?.param, json.error?.message];
}

const variables = ({ prompt }: GenerateRequest) => prompt.type === 'chat' && prompt.templateKwargs;

describe('metadata', () => {
  it('gives min_tokens, enable_thinking and max_streaming_response_tokens, below the fields of the same name', async () => {
    const metadata = { min_tokens: 3, enable_thinking: false, temperature: 0, n: 5 };
    const request = await requestOf(CHAT, { metadata });
    assert.deepEqual([request.sampling, request.n, variables(request)], [{ minTokens: 3 }, 1, { enable_thinking: false }]);
    const both = await requestOf(CHAT, { metadata, min_tokens: 1, enable_thinking: true });
    assert.deepEqual([both.sampling.minTokens, variables(both)], [1, { enable_thinking: true }]);
  });

  for (const [metadata, param] of [
    [{ min_tokens: '3' }, 'metadata.min_tokens'],
    [{ min_tokens: -1 }, 'metadata.min_tokens'],
    [{ enable_thinking: 'no' }, 'metadata.enable_thinking'],
    [{ max_streaming_response_tokens: 1.5 }, 'metadata.max_streaming_response_tokens'],
    [[], 'metadata'],
  ] as const) {
    it(`${JSON.stringify(metadata)} is a 400 for ${param}`, async () => {
      assert.deepEqual((await refusal(CHAT, { metadata })).slice(0, 2), [400, param]);
    });
  }
});

describe('suffix', () => {
  it('is an object of parameters below the explicit ones', async () => {
    const suffix = { min_tokens: 3, temperature: 0.5, reasoning_max_tokens: 4, unknown: 1, top_k: null };
    const request = await requestOf(COMPLETIONS, { suffix, temperature: 0.25 });
    assert.deepEqual([request.sampling, request.reasoningMaxTokens], [{ temperature: 0.25, minTokens: 3 }, 4]);
  });

  it('may be empty, and is a 400 as a text', async () => {
    for (const suffix of ['', {}, null]) await requestOf(COMPLETIONS, { suffix });
    const [status, param, message] = await refusal(COMPLETIONS, { suffix: 'The end.' });
    assert.deepEqual([status, param], [400, 'suffix']);
    assert.match(message, /valid dictionary/);
    assert.deepEqual((await refusal(COMPLETIONS, { suffix: { min_tokens: 'x' } })).slice(0, 2), [400, 'min_tokens']);
  });
});

describe('the prompt', () => {
  it("is the first message's text with disable_chat_template, without special tokens", async () => {
    const parts = [
      { type: 'text', text: 'Once ' },
      { type: 'text', text: 'upon' },
    ];
    for (const content of ['Once upon', parts]) {
      const messages = [{ role: 'user', content }, ...HELLO];
      const { prompt } = await requestOf(CHAT, { messages, disable_chat_template: true });
      assert.deepEqual(prompt, { type: 'text', text: 'Once upon', addSpecialTokens: false, param: 'messages[0].content' });
    }
  });

  it('has the special tokens of the tokenizer around it unless add_special_tokens is false', async () => {
    for (const [fields, expected] of [
      [{}, true],
      [{ add_special_tokens: false }, false],
    ] as const) {
      const { prompt } = await requestOf(COMPLETIONS, fields);
      assert.equal(prompt.type === 'text' && prompt.addSpecialTokens, expected);
    }
  });

  it('goes through the template of the request, with its variables and documents', async () => {
    const documents = [{ title: 'a', text: 'b' }];
    const request = await requestOf(CHAT, {
      chat_template: '{{ x }}',
      documents,
      reasoning_effort: 'high',
      chat_template_kwargs: { x: 1 },
    });
    assert.equal(request.prompt.type === 'chat' && request.prompt.chatTemplate, '{{ x }}');
    assert.deepEqual(variables(request), { documents, reasoning_effort: 'high', x: 1 });
    assert.deepEqual((await refusal(CHAT, { chat_template: 5 })).slice(0, 2), [400, 'chat_template']);
    assert.deepEqual((await refusal(CHAT, { documents: ['x'] })).slice(0, 2), [400, 'documents[0]']);
  });

  it('may be cut with truncate_prompt_tokens', async () => {
    for (const count of [-1, 1, 50]) {
      assert.equal((await requestOf(COMPLETIONS, { truncate_prompt_tokens: count })).truncatePromptTokens, count);
    }
    for (const count of [0, -2, 1.5]) {
      assert.deepEqual((await refusal(CHAT, { truncate_prompt_tokens: count })).slice(0, 2), [400, 'truncate_prompt_tokens']);
    }
  });
});

describe('thinking', () => {
  it('is switched off by reasoning_effort none, unless the request says otherwise', async () => {
    assert.deepEqual(variables(await requestOf(CHAT, { reasoning_effort: 'none' })), { reasoning_effort: 'none', enable_thinking: false });
    assert.deepEqual(variables(await requestOf(CHAT, { reasoning_effort: 'none', enable_thinking: true })), {
      reasoning_effort: 'none',
      enable_thinking: true,
    });
    assert.deepEqual((await refusal(CHAT, { reasoning_effort: 'huge' })).slice(0, 2), [400, 'reasoning_effort']);
  });

  for (const [fields, limit] of [
    [{ reasoning_max_tokens: 0 }, 0],
    [{ reasoning_max_tokens: 7, thinking_token_budget: 3 }, 7],
    [{ thinking_token_budget: 3 }, 3],
    [{ thinking_token_budget: -1 }, undefined],
    [{ logits_processors_args: { thinking_budget: 5 } }, 5],
    [{}, undefined],
  ] as const) {
    it(`${JSON.stringify(fields)} may take ${limit ?? 'any number of'} tokens`, async () => {
      assert.equal((await requestOf(CHAT, fields)).reasoningMaxTokens, limit);
    });
  }

  it('and the answer have limits of their own', async () => {
    assert.equal((await requestOf(CHAT, { response_max_tokens: 5 })).responseMaxTokens, 5);
    for (const [field, value] of [
      ['reasoning_max_tokens', -1],
      ['response_max_tokens', 0],
      ['thinking_token_budget', -2],
    ] as const) {
      assert.deepEqual((await refusal(CHAT, { [field]: value })).slice(0, 2), [400, field]);
    }
  });

  for (const stream of [false, true]) {
    it(`is hidden by include_reasoning false${stream ? ' in a stream' : ''}`, async () => {
      const { api } = testApi({
        script: () => [[{ reasoning: 'hm', tokenIds: [1] }], [{ text: 'yes', tokenIds: [2], finishReason: 'stop' }]],
      });
      const { text } = await call(api, CHAT, { body: { ...base(CHAT), include_reasoning: false, stream } });
      assert.ok(text.includes('yes') && !text.includes('hm'));
    });
  }
});

describe('logits_processors_args', () => {
  it('knows logit_bias, below the field of that name, and refuses other processors', async () => {
    const logits_processors_args = { logit_bias: { 5: 2 } };
    assert.deepEqual((await requestOf(CHAT, { logits_processors_args })).sampling.logitBias, [[5, 2]]);
    assert.deepEqual((await requestOf(CHAT, { logits_processors_args, logit_bias: { 6: 1 } })).sampling.logitBias, [[6, 1]]);
    const [status, param, message] = await refusal(COMPLETIONS, { logits_processors_args: { think_stop_sentence: 'x' } });
    assert.deepEqual([status, param], [400, 'logits_processors_args']);
    assert.match(message, /Only the logits processors/);
  });
});

describe('timeout', () => {
  it('is a number of seconds above 0', async () => {
    assert.equal((await requestOf(COMPLETIONS, { timeout: 0.25 })).timeoutMs, 250);
    for (const timeout of [0, -1, '5', 1e9]) assert.deepEqual((await refusal(CHAT, { timeout })).slice(0, 2), [400, 'timeout']);
  });
});

describe('fields that need nothing of this server', () => {
  it('are accepted', async () => {
    const fields = {
      store: true,
      service_tier: 'priority',
      verbosity: 'low',
      prediction: { type: 'content', content: 'x' },
      prompt_cache_key: 'k',
      safety_identifier: 'u',
      trace_context: 'x',
    };
    await requestOf(CHAT, fields);
  });
});

const TOKENS: readonly ScriptedDelta[][] = ['a', 'b', 'c', 'd', 'e'].map((text, i) => [
  { text, tokenIds: [i], finishReason: i === 4 ? 'stop' : null },
]);

describe('a stream', () => {
  for (const [fields, texts] of [
    [{}, ['a', 'b', 'c', 'd', 'e']],
    [{ max_streaming_response_tokens: 2 }, ['ab', 'cd', 'e']],
    [{ max_streaming_response_tokens: 100 }, ['abcde']],
    [{ max_streaming_response_tokens: 0 }, ['a', 'b', 'c', 'd', 'e']],
    [{ metadata: { max_streaming_response_tokens: 3 } }, ['abc', 'de']],
  ] as const) {
    it(`with ${JSON.stringify(fields)} comes in ${texts.length} pieces`, async () => {
      const { api } = testApi({ script: () => TOKENS });
      const chat = parseChunks((await call(api, CHAT, { body: { ...base(CHAT), ...fields, stream: true } })).text);
      assert.deepEqual(
        chat.map(({ choices }) => choices[0].delta.content).filter((text) => text !== ''),
        texts,
      );
      const text = parseChunks((await call(api, COMPLETIONS, { body: { ...base(COMPLETIONS), ...fields, stream: true } })).text);
      assert.deepEqual(
        text.map(({ choices }) => choices[0].text),
        texts,
      );
    });
  }

  it('in long pieces tells what waited before a failure', async () => {
    const { api } = testApi({
      script: function* () {
        yield* TOKENS.slice(0, 3);
        throw new Error('broken');
      },
    });
    const body = { ...base(CHAT), stream: true, max_streaming_response_tokens: 2 };
    const chunks = parseChunks((await call(api, CHAT, { body })).text);
    const texts = chunks.map((chunk) => chunk.choices?.[0].delta.content ?? chunk.error.code);
    assert.deepEqual(texts, ['', 'ab', 'c', 'internal_error']);
  });

  it('tells in every piece how many seconds after the request it came', async () => {
    const { api } = testApi({ script: () => TOKENS });
    for (const path of [CHAT, COMPLETIONS]) {
      const chunks = parseChunks((await call(api, path, { body: { ...base(path), stream: true } })).text);
      const times = chunks.map(({ choices }) => choices[0].arrival_time).filter((time) => time !== undefined);
      assert.ok(times.length >= 5);
      assert.ok(times.every((time, i) => time >= (times[i - 1] ?? 0)));
    }
  });

  it('has metrics in every chunk with collect_metrics, and none without', async () => {
    const { api } = testApi({ script: () => TOKENS });
    for (const path of [CHAT, COMPLETIONS]) {
      const chunks = parseChunks((await call(api, path, { body: { ...base(path), stream: true, collect_metrics: true } })).text);
      for (const { metrics } of chunks) {
        assert.ok(Math.abs(metrics.arrival_time - Date.now() / 1000) < 3600);
        assert.ok(metrics.inference_start_time >= metrics.arrival_time);
        assert.ok(metrics.engine_recv_latest_token_time >= metrics.engine_recv_first_token_time);
      }
      const plain = parseChunks((await call(api, path, { body: { ...base(path), stream: true } })).text);
      assert.ok(plain.every((chunk) => !('metrics' in chunk)));
    }
  });

  it('with return_token_ids tells ids and texts: the prompt once, then what each piece adds', async () => {
    const { api } = testApi({ script: () => TOKENS, promptText: 'the prompt' });
    for (const path of [CHAT, COMPLETIONS]) {
      const chunks = parseChunks((await call(api, path, { body: { ...base(path), stream: true, return_token_ids: true } })).text);
      const pieces = chunks.map(({ choices: [choice] }) => choice.delta ?? choice);
      assert.deepEqual([pieces[0].prompt_token_ids, pieces[0].prompt_tokens], [[1, 2, 3], 'the prompt']);
      assert.deepEqual(
        pieces.flatMap((piece) => piece.completion_token_ids ?? []),
        [0, 1, 2, 3, 4],
      );
      assert.equal(pieces.map((piece) => piece.completion_tokens ?? '').join(''), 'abcde');
      assert.ok(pieces.slice(1).every((piece) => piece.prompt_token_ids === null));
    }
  });
});

describe('echo of chat', () => {
  for (const stream of [false, true]) {
    it(`begins the reply with the last message when that is the assistant's${stream ? ', streamed' : ''}`, async () => {
      const { api } = testApi();
      const messages = [...HELLO, { role: 'assistant', content: 'Well, ' }];
      const body = { messages, echo: true, continue_final_message: true, stream };
      const reply = await call(api, CHAT, { body });
      const content = stream
        ? parseChunks(reply.text)
            .map(({ choices }) => choices[0].delta.content)
            .join('')
        : reply.json.choices[0].message.content;
      assert.equal(content, 'Well, Hello world');
    });
  }
});
