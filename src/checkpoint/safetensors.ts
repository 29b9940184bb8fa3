/**
 * The safetensors format: 8 bytes of header length (little endian), a JSON header, then raw tensors.
 * Only headers are read here; whoever needs data reads or maps `file` at `offset`.
 */
import { closeSync, existsSync, fstatSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { basename, join } from 'node:path';
import { StartupError } from '../core/errors.ts';

export type StoredDtype = 'F32' | 'F16' | 'BF16' | 'F64' | 'I64' | 'I32' | 'I16' | 'I8' | 'U8' | 'BOOL';

/** Where one tensor lies. */
export interface StoredTensor {
  readonly name: string;
  /** Absolute path of the file that holds it. */
  readonly file: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  /** From the start of the file, in bytes. */
  readonly offset: number;
  readonly numBytes: number;
}

export type TensorDirectory = ReadonlyMap<string, StoredTensor>;

export const DTYPE_BYTES: Readonly<Record<StoredDtype, number>> = {
  F64: 8,
  I64: 8,
  F32: 4,
  I32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

/** The format's own limit on header size. */
const MAX_HEADER_BYTES = 100_000_000;

/**
 * Every tensor of a checkpoint folder: those of `model.safetensors`, else of the shards that `model.safetensors.index.json` names.
 * @throws StartupError naming the file (and tensor) that is missing, truncated or damaged.
 */
export function readTensorDirectory(dir: string): TensorDirectory {
  const single = join(dir, 'model.safetensors');
  if (existsSync(single)) return readSafetensorsHeader(single);
  const index = join(dir, 'model.safetensors.index.json');
  if (existsSync(index)) return readShards(dir, index);
  const others = readdirSync(dir).filter((name) => name.endsWith('.safetensors'));
  if (others.length === 1 && others[0] !== undefined) return readSafetensorsHeader(join(dir, others[0]));
  throw new StartupError(`${dir}: no weights found: expected model.safetensors, or model.safetensors.index.json with its shards`);
}

/** The tensors of one file, each checked to lie inside it. @throws StartupError */
export function readSafetensorsHeader(file: string): Map<string, StoredTensor> {
  const { header, dataStart, fileBytes } = readHeaderJson(file);
  const tensors = new Map<string, StoredTensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    tensors.set(name, checkedTensor(file, name, entry, dataStart, fileBytes));
  }
  return tensors;
}

/** The free-form `__metadata__` strings of a file's header; `{ format: 'pt' }` in checkpoints that transformers wrote. */
export function readSafetensorsMetadata(file: string): Readonly<Record<string, string>> {
  const metadata = readHeaderJson(file).header.__metadata__;
  return typeof metadata === 'object' && metadata !== null ? (metadata as Record<string, string>) : {};
}

function readShards(dir: string, index: string): TensorDirectory {
  let weightMap: Record<string, unknown>;
  try {
    weightMap = (JSON.parse(readFileSync(index, 'utf8')) as { weight_map: Record<string, unknown> }).weight_map;
    if (typeof weightMap !== 'object' || weightMap === null) throw new Error('no "weight_map" object');
  } catch (cause) {
    throw damaged(index, `not a shard index: ${(cause as Error).message}`, cause);
  }
  const headers = new Map<string, Map<string, StoredTensor>>();
  const tensors = new Map<string, StoredTensor>();
  for (const [name, shard] of Object.entries(weightMap)) {
    if (typeof shard !== 'string' || shard !== basename(shard)) {
      throw damaged(index, `tensor ${name}: expected the name of a file in this folder, found ${JSON.stringify(shard)}`);
    }
    const file = join(dir, shard);
    if (!headers.has(shard)) {
      if (!existsSync(file)) throw new StartupError(`${file}: missing, although ${basename(index)} names it for tensor ${name}`);
      headers.set(shard, readSafetensorsHeader(file));
    }
    const tensor = headers.get(shard)!.get(name);
    if (tensor === undefined) throw damaged(file, `tensor ${name} is missing, although ${basename(index)} says it is here`);
    tensors.set(name, tensor);
  }
  return tensors;
}

function readHeaderJson(file: string): { header: Record<string, unknown>; dataStart: number; fileBytes: number } {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (cause) {
    throw new StartupError(`${file}: cannot be opened: ${(cause as Error).message}`, { cause });
  }
  try {
    const fileBytes = fstatSync(fd).size;
    const lengthBytes = Buffer.alloc(8);
    if (readSync(fd, lengthBytes, 0, 8, 0) < 8) throw damaged(file, `${fileBytes} bytes long, expected at least a header of 8 bytes`);
    const headerBytes = Number(lengthBytes.readBigUInt64LE());
    if (headerBytes > MAX_HEADER_BYTES) throw damaged(file, `its header claims ${headerBytes} bytes; is this a safetensors file?`);
    const json = Buffer.alloc(headerBytes);
    if (8 + headerBytes > fileBytes || readSync(fd, json, 0, headerBytes, 8) < headerBytes) {
      throw damaged(file, `truncated: the header needs ${8 + headerBytes} bytes, the file has ${fileBytes}`);
    }
    return { header: parseHeader(file, json), dataStart: 8 + headerBytes, fileBytes };
  } finally {
    closeSync(fd);
  }
}

function parseHeader(file: string, json: Buffer): Record<string, unknown> {
  try {
    const header: unknown = JSON.parse(json.toString('utf8'));
    if (typeof header !== 'object' || header === null || Array.isArray(header)) throw new Error('not an object');
    return header as Record<string, unknown>;
  } catch (cause) {
    throw damaged(file, `its header is not JSON (${(cause as Error).message})`, cause);
  }
}

function checkedTensor(file: string, name: string, entry: unknown, dataStart: number, fileBytes: number): StoredTensor {
  const { dtype, shape, data_offsets: offsets } = entry as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
  if (!isSizes(shape) || !isSizes(offsets) || offsets.length !== 2 || typeof dtype !== 'string') {
    throw damaged(file, `tensor ${name}: expected dtype, shape and data_offsets, found ${JSON.stringify(entry)}`);
  }
  const [begin, end] = offsets as [number, number];
  const elementBytes = DTYPE_BYTES[dtype as StoredDtype];
  if (elementBytes === undefined) {
    throw new StartupError(`${file}: tensor ${name} has type ${dtype}; supported are BF16, F16 and F32`);
  }
  const expectedBytes = shape.reduce((product, size) => product * size, elementBytes);
  if (end - begin !== expectedBytes) {
    throw damaged(file, `tensor ${name}: ${dtype} [${shape.join(', ')}] needs ${expectedBytes} bytes, the header gives it ${end - begin}`);
  }
  if (dataStart + end > fileBytes) {
    throw damaged(file, `truncated: tensor ${name} ends at byte ${dataStart + end}, the file has ${fileBytes}`);
  }
  return { name, file, dtype: dtype as StoredDtype, shape, offset: dataStart + begin, numBytes: expectedBytes };
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function damaged(file: string, what: string, cause?: unknown): StartupError {
  return new StartupError(`${file}: ${what}. Download the file again.`, { cause });
}
