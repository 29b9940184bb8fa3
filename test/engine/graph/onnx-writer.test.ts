import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OnnxWriter } from '../../../src/engine/graph/onnx-writer.ts';
import { ProtobufWriter } from '../../../src/engine/graph/protobuf.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

test('the wire forms are those of the protobuf encoding guide', () => {
  assert.equal(hex(new ProtobufWriter().int(1, 150).finish()), '089601');
  assert.equal(hex(new ProtobufWriter().string(2, 'testing').finish()), '120774657374696e67');
  assert.equal(hex(new ProtobufWriter().message(3, new ProtobufWriter().int(1, 150)).finish()), '1a03089601');
  assert.equal(hex(new ProtobufWriter().int(1, -2).finish()), '08feffffffffffffffff01');
  assert.equal(hex(new ProtobufWriter().float(1, 1).finish()), '0d0000803f');
  assert.equal(hex(new ProtobufWriter().int(20, 300).finish()), 'a001ac02');
});

test('a constant asked for twice is written once', () => {
  const once = new OnnxWriter();
  once.shape(1, 2);
  const twice = new OnnxWriter();
  assert.equal(twice.shape(1, 2), twice.shape(1, 2));
  assert.deepEqual(twice.finish(), once.finish());
});
