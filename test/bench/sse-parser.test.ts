import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SseParser } from '../../bench/sse-parser.ts';

const STREAM = Buffer.from(
  ': keep-alive\n\ndata: {"text":"a"}\n\nevent: x\r\ndata:zwei 漢字\r\n\r\ndata: first\ndata: second\r\rdata: [DONE]\n\n',
);
const EVENTS = ['{"text":"a"}', 'zwei 漢字', 'first\nsecond', '[DONE]'];

test('events come out whole wherever the stream is cut', () => {
  for (let cut = 0; cut <= STREAM.length; cut++) {
    const parser = new SseParser();
    assert.deepEqual([...parser.push(STREAM.subarray(0, cut)), ...parser.push(STREAM.subarray(cut))], EVENTS, `cut at ${cut}`);
  }
});

test('events come out whole byte by byte', () => {
  const parser = new SseParser();
  const events = [...STREAM].flatMap((byte) => parser.push(Uint8Array.of(byte)));
  assert.deepEqual(events, EVENTS);
});

test('an event is not given out before its empty line', () => {
  const parser = new SseParser();
  assert.deepEqual(parser.push(Buffer.from('data: half\n')), []);
  assert.deepEqual(parser.push(Buffer.from('\n')), ['half']);
});
