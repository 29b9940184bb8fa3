import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import OpenAI from 'openai';
import { TroupeError } from '../../src/core/errors.ts';
import { each, handFed } from '../support/fake-generator.ts';
import { aborted, startHttpServer, until } from '../support/http-server.ts';

const messages = [{ role: 'user' as const, content: 'Hello!' }];
const connect = (url: string) => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'null', maxRetries: 0 });

describe('the official openai package', () => {
  it('chats', async (t) => {
    const { url } = await startHttpServer(t);
    const reply = await connect(url).chat.completions.create({ model: 'null', messages });
    assert.equal(reply.choices[0]?.message.content, 'Hello world');
    assert.equal(reply.usage?.total_tokens, 6);
  });

  it('reads a chat stream, with the usage at its end', async (t) => {
    const { url } = await startHttpServer(t);
    const stream = await connect(url).chat.completions.create({
      model: 'x',
      messages,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let total = 0;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      total = chunk.usage?.total_tokens ?? total;
    }
    assert.deepEqual([text, total], ['Hello world', 6]);
  });

  it('assembles a stream with its own helper', async (t) => {
    const { url } = await startHttpServer(t);
    const final = await connect(url).chat.completions.stream({ model: 'x', messages, n: 2 }).finalChatCompletion();
    assert.deepEqual(
      final.choices.map(({ message, finish_reason }) => [message.content, finish_reason]),
      [
        ['Hello world', 'stop'],
        ['Hello world', 'stop'],
      ],
    );
  });

  it('completes text, whole and as a stream', async (t) => {
    const { url } = await startHttpServer(t);
    const client = connect(url);
    const whole = await client.completions.create({ model: 'x', prompt: ['a', 'b'], n: 2 });
    assert.equal(whole.choices.length, 4);
    let text = '';
    for await (const chunk of await client.completions.create({ model: 'x', prompt: 'a', stream: true })) text += chunk.choices[0]?.text;
    assert.equal(text, 'Hello world');
  });

  it('gets log-probabilities and passes stop sequences on', async (t) => {
    const top = [{ tokenId: 1, token: 'a', bytes: [97], logprob: -0.1 }];
    const { url, generator } = await startHttpServer(t, {
      script: (request) => [
        each(request, () => ({ text: 'a', tokenIds: [1], logprobs: [{ ...top[0]!, textOffset: 0, top }], finishReason: 'stop' })),
      ],
    });
    const reply = await connect(url).chat.completions.create({
      model: 'x',
      messages,
      logprobs: true,
      top_logprobs: 1,
      stop: ['\n', 'END'],
    });
    assert.deepEqual(reply.choices[0]?.logprobs?.content?.[0]?.top_logprobs, [{ token: 'a', logprob: -0.1, bytes: [97] }]);
    assert.deepEqual(generator.requests[0]?.stop, ['\n', 'END']);
  });

  it('aborts the work when its stream is aborted', async (t) => {
    const feed = handFed();
    const { url, generator } = await startHttpServer(t, { script: feed.script });
    feed.queue.push({ text: 'one', tokenIds: [1] });
    const stream = await connect(url).chat.completions.create({ model: 'x', messages, stream: true });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content === 'one') stream.controller.abort();
    await aborted(generator.runs[0]?.signal as AbortSignal);
  });

  it('aborts the work when its request is aborted', async (t) => {
    const feed = handFed();
    const { url, generator } = await startHttpServer(t, { script: feed.script });
    const controller = new AbortController();
    const reply = connect(url).chat.completions.create({ model: 'x', messages }, { signal: controller.signal });
    const rejected = assert.rejects(reply, OpenAI.APIUserAbortError);
    await until(() => generator.runs.length > 0);
    controller.abort();
    await rejected;
    await aborted(generator.runs[0]?.signal as AbortSignal);
  });

  it('sees each refusal as its own error class, with code and param', async (t) => {
    let refusal: Error | null = null;
    const { url, generator } = await startHttpServer(t, { refuse: () => refusal, model: { isNameChecked: true } });
    const client = connect(url);
    const ask = (fields: object = {}) => client.chat.completions.create({ model: 'troupe-mini', messages, ...fields });
    await assert.rejects(ask({ top_p: 2 }), (error) => error instanceof OpenAI.BadRequestError && error.param === 'top_p');
    await assert.rejects(ask({ model: 'no' }), (error) => error instanceof OpenAI.NotFoundError && error.code === 'model_not_found');
    refusal = new TroupeError('queue_full', 'Full.', { retryAfterMs: 1000 });
    await assert.rejects(ask(), (error) => error instanceof OpenAI.RateLimitError && error.headers.get('retry-after') === '1');
    generator.state = { state: 'loading' };
    await assert.rejects(ask(), (error) => error instanceof OpenAI.InternalServerError && error.code === 'model_loading');
  });

  it('throws when a stream fails in the middle', async (t) => {
    const { url } = await startHttpServer(t, {
      script: function* () {
        yield [{ text: 'a', tokenIds: [1] }];
        throw new TroupeError('engine_failed', 'The engine died too often.');
      },
    });
    const stream = await connect(url).chat.completions.create({ model: 'x', messages, stream: true });
    const read = async () => {
      for await (const _ of stream);
    };
    await assert.rejects(read, (error) => error instanceof OpenAI.APIError && /died too often/.test(error.message));
  });

  it('lists the models', async (t) => {
    const { url } = await startHttpServer(t);
    const client = connect(url);
    const ids: string[] = [];
    for await (const { id } of client.models.list()) ids.push(id);
    assert.deepEqual(ids, ['troupe-mini']);
    assert.equal((await client.models.retrieve('troupe-mini')).id, 'troupe-mini');
  });
});
