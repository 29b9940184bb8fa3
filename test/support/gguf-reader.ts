/** Reads GGUF files by the format's description (github.com/ggml-org/ggml, docs/gguf.md), independently of the writer under test. */
import { readFileSync } from 'node:fs';

export interface GgufContents {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, unknown>;
  readonly tensors: ReadonlyMap<string, { readonly dimensions: readonly number[]; readonly type: number; readonly data: Buffer }>;
}

/** Bytes per 32 values of the types that are used here: F32, Q4_0, Q8_0. */
const BYTES_PER_32: Readonly<Record<number, number>> = { 0: 128, 2: 18, 8: 34 };

export function readGguf(path: string): GgufContents {
  const file = readFileSync(path);
  if (file.toString('latin1', 0, 4) !== 'GGUF') throw new Error('no GGUF magic');
  let at = 4;
  const advance = (numBytes: number) => {
    at += numBytes;
    return at - numBytes;
  };
  const uint32 = () => file.readUInt32LE(advance(4));
  const uint64 = () => Number(file.readBigUInt64LE(advance(8)));
  const string = () => {
    const length = uint64();
    const start = advance(length);
    return file.toString('utf8', start, start + length);
  };
  const value = (type: number): unknown => {
    if (type === 4) return uint32();
    if (type === 5) return file.readInt32LE(advance(4));
    if (type === 6) return file.readFloatLE(advance(4));
    if (type === 7) return file.readUInt8(advance(1)) === 1;
    if (type === 8) return string();
    if (type === 9) {
      const itemType = uint32();
      return Array.from({ length: uint64() }, () => value(itemType));
    }
    throw new Error(`metadata type ${type}`);
  };

  const version = uint32();
  const numTensors = uint64();
  const numValues = uint64();
  const metadata = new Map<string, unknown>();
  for (let index = 0; index < numValues; index++) {
    const key = string();
    metadata.set(key, value(uint32()));
  }
  const table = Array.from({ length: numTensors }, () => {
    const name = string();
    const dimensions = Array.from({ length: uint32() }, uint64);
    return { name, dimensions, type: uint32(), offset: uint64() };
  });
  const dataStart = Math.ceil(at / 32) * 32;
  const tensors = new Map(
    table.map(({ name, dimensions, type, offset }) => {
      if (offset % 32 !== 0) throw new Error(`${name} is not aligned`);
      const numBytes = (dimensions.reduce((a, b) => a * b, 1) / 32) * BYTES_PER_32[type]!;
      const data = file.subarray(dataStart + offset, dataStart + offset + numBytes);
      if (data.length !== numBytes) throw new Error(`${name} is cut off`);
      return [name, { dimensions, type, data }];
    }),
  );
  return { version, metadata, tensors };
}

/** A half-precision number at `at`. */
export function readFloat16(data: Buffer, at: number): number {
  const bits = data.readUInt16LE(at);
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

/** Blocks of 32 values: a half-precision scale, then 4 bits (Q4_0: low halves first, minus 8) or 8 bits (Q8_0) a value. */
export function dequantize(type: number, data: Buffer): number[] {
  const blockBytes = BYTES_PER_32[type]!;
  const values: number[] = [];
  for (let block = 0; block < data.length; block += blockBytes) {
    const scale = readFloat16(data, block);
    for (let index = 0; index < 32; index++) {
      if (type === 8) values.push(scale * data.readInt8(block + 2 + index));
      else values.push(scale * (((data[block + 2 + (index % 16)]! >> (index < 16 ? 0 : 4)) & 15) - 8));
    }
  }
  return values;
}
