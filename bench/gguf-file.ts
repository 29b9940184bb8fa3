/**
 * Writes the GGUF container, version 3: header, metadata, tensor table, then the tensors, each aligned to 32 bytes.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { closeSync, openSync, writeSync } from 'node:fs';

const ALIGNMENT = 32;

export type GgufValue =
  | { readonly type: 'uint32'; readonly value: number }
  | { readonly type: 'float32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'int32s'; readonly value: readonly number[] };

export interface GgufTensor {
  readonly name: string;
  /** Row-major, slowest dimension first (GGUF itself stores them fastest first). */
  readonly shape: readonly number[];
  readonly ggmlType: number;
  readonly numBytes: number;
  /** Yields exactly `numBytes` bytes; a piece may be overwritten once the next is asked for. */
  bytes(): Iterable<Uint8Array>;
}

/** @throws Error when a tensor yields another number of bytes than it announced. */
export function writeGguf(
  path: string,
  metadata: readonly (readonly [key: string, value: GgufValue])[],
  tensors: readonly GgufTensor[],
): void {
  const file = openSync(path, 'w');
  let position = 0;
  const write = (data: Uint8Array) => {
    for (let done = 0; done < data.length; ) done += writeSync(file, data, done);
    position += data.length;
  };
  const align = () => write(new Uint8Array(aligned(position) - position));
  try {
    write(header(metadata, tensors));
    align();
    for (const tensor of tensors) {
      const start = position;
      for (const piece of tensor.bytes()) write(piece);
      if (position - start !== tensor.numBytes)
        throw new Error(`${tensor.name}: ${position - start} bytes written, ${tensor.numBytes} announced.`);
      align();
    }
  } finally {
    closeSync(file);
  }
}

function header(metadata: readonly (readonly [string, GgufValue])[], tensors: readonly GgufTensor[]): Buffer {
  const parts = [Buffer.from('GGUF'), uint32(3), uint64(tensors.length), uint64(metadata.length)];
  for (const [key, value] of metadata) parts.push(string(key), ...encode(value));
  let offset = 0;
  for (const tensor of tensors) {
    parts.push(string(tensor.name), uint32(tensor.shape.length), ...tensor.shape.toReversed().map(uint64));
    parts.push(uint32(tensor.ggmlType), uint64(offset));
    offset = aligned(offset + tensor.numBytes);
  }
  return Buffer.concat(parts);
}

/** The type's number, then the value. */
function encode(value: GgufValue): Buffer[] {
  switch (value.type) {
    case 'uint32':
      return [uint32(4), uint32(value.value)];
    case 'float32':
      return [uint32(6), float32(value.value)];
    case 'bool':
      return [uint32(7), Buffer.of(value.value ? 1 : 0)];
    case 'string':
      return [uint32(8), string(value.value)];
    case 'strings':
      return [uint32(9), uint32(8), uint64(value.value.length), ...value.value.map(string)];
    case 'int32s':
      return [uint32(9), uint32(5), uint64(value.value.length), Buffer.from(Int32Array.from(value.value).buffer)];
    default:
      return value satisfies never;
  }
}

function aligned(offset: number): number {
  return Math.ceil(offset / ALIGNMENT) * ALIGNMENT;
}

function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

function uint64(value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer;
}

function float32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeFloatLE(value);
  return buffer;
}

function string(value: string): Buffer {
  const text = Buffer.from(value);
  return Buffer.concat([uint64(text.length), text]);
}
