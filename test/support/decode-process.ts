/** Decodes in a process of its own: on stdin lines "KIND HEX", on stdout what was decoded, as util.inspect prints it. */
import { createInterface } from 'node:readline';
import { inspect } from 'node:util';
import * as codec from '../../src/transport/codec.ts';

const decoders = {
  toEngine: codec.decodeToEngine,
  toFrontend: codec.decodeToFrontend,
  reply: codec.decodeReply,
  frame: codec.decodeFrame,
};

for await (const line of createInterface({ input: process.stdin })) {
  const [kind, hex = ''] = line.split(' ');
  const decoded = decoders[kind as keyof typeof decoders](Buffer.from(hex, 'hex'));
  console.log(inspect(decoded, { depth: null, compact: true, breakLength: Number.POSITIVE_INFINITY, sorted: true }));
}
