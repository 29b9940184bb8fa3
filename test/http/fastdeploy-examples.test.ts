/** The requests of FastDeploy's page "OpenAI Protocol-Compatible API Server", as its readers paste them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import OpenAI from 'openai';
import { CHAT, COMPLETIONS } from '../support/api-client.ts';
import { startHttpServer } from '../support/http-server.ts';

const CURL_BODIES: readonly [string, string, string][] = [
  [
    'chat',
    CHAT,
    `{
"messages": [
{"role": "user", "content": "Hello!"}
]
}`,
  ],
  [
    'chat with log-probabilities and a trailing comma',
    CHAT,
    `{
"messages": [
{"role": "user", "content": "Hello!"}
],
"logprobs": true, "top_logprobs": 0,
}`,
  ],
  [
    'completion',
    COMPLETIONS,
    `{
"prompt": "以下是一篇关于深圳文心公园的500字游记和赏析:"
}`,
  ],
];

describe("FastDeploy's curl example", () => {
  for (const [name, path, body] of CURL_BODIES) {
    it(`${name} is answered`, async (t) => {
      const { url } = await startHttpServer(t);
      const reply = await fetch(url + path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
      assert.equal(reply.status, 200);
      const { choices } = (await reply.json()) as { choices: { text?: string; message?: { content: string } }[] };
      assert.equal(choices[0]?.message?.content ?? choices[0]?.text, 'Hello world');
    });
  }

  it('is answered without a content type too, as curl -d sends one of a form', async (t) => {
    const { url } = await startHttpServer(t);
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const reply = await fetch(url + CHAT, { method: 'POST', headers, body: CURL_BODIES[0]?.[2] ?? '' });
    assert.equal(reply.status, 200);
  });
});

describe("FastDeploy's Python examples", () => {
  // response = client.chat.completions.create(model="null", messages=[…], stream=True)
  // for chunk in response:
  //     if chunk.choices[0].delta:
  //         print(chunk.choices[0].delta.content, end='')
  it('print the text of a stream and no None: every chunk has a choice, every content is a string', async (t) => {
    const { url } = await startHttpServer(t);
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'null' });
    const response = await client.chat.completions.create({
      model: 'null',
      messages: [
        { role: 'system', content: "I'm a helpful AI assistant." },
        { role: 'user', content: "Rewrite Li Bai's 'Quiet Night Thought' as a modern poem" },
      ],
      stream: true,
    });
    const printed: unknown[] = [];
    for await (const chunk of response) {
      assert.equal(chunk.choices.length, 1);
      if (chunk.choices[0]?.delta) printed.push(chunk.choices[0].delta.content);
    }
    assert.ok(printed.every((content) => typeof content === 'string'));
    assert.equal(printed.join(''), 'Hello world');
  });

  // response = client.completions.create(model="default", prompt="…", stream=False)
  // print(response.choices[0].text)
  it('print the text of a completion', async (t) => {
    const { url } = await startHttpServer(t);
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'null' });
    const response = await client.completions.create({
      model: 'default',
      prompt: '以下是一篇关于深圳文心公园的500字游记和赏析:',
      stream: false,
    });
    assert.equal(response.choices[0]?.text, 'Hello world');
  });
});
