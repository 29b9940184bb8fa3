/**
 * Repacked weights on disk, so that quantising is done once. A file is written under a temporary name, ends with a mark that is
 * written last, and is renamed when it is whole: a half-written file is never used.
 *
 *   a safetensors header and its tensors, then 8 bytes: "complete"
 */
import { createHash, randomUUID } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { StartupError } from '../core/errors.ts';
import { weightsFingerprint } from './fingerprint.ts';
import type { Checkpoint } from './inspect.ts';
import { type Quantization, weightBits } from './quantization.ts';
import { type RepackedTensor, Repacking } from './repack.ts';
import { DTYPE_BYTES, readSafetensorsHeader, type TensorDirectory } from './safetensors.ts';

/** Raise it when repacking writes something else: old files are then left alone. */
const FORMAT_VERSION = 2;
const COMPLETE = Buffer.from('complete');

/** `$XDG_CACHE_HOME/troupe`, else `~/.cache/troupe`. */
export function defaultCacheDir(env: NodeJS.ProcessEnv = process.env): string {
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'troupe');
}

/**
 * The checkpoint's weights, quantised: from the cache, or repacked into it now, with `onProgress` called with 0 … 1.
 * @throws StartupError when the cache folder cannot be written.
 */
export function openQuantizedWeights(
  checkpoint: Checkpoint,
  quantization: Exclude<Quantization, 'none'>,
  cacheDir: string,
  onProgress: (fraction: number) => void,
): TensorDirectory {
  const key = contentKey(checkpoint, quantization);
  const file = join(cacheDir, `${basename(resolve(checkpoint.dir))}-${quantization}-${key}.weights`);
  const repacking = new Repacking(checkpoint.config, checkpoint.weights, weightBits(quantization));
  const cached = readComplete(file, repacking.tensors);
  if (cached !== null) return cached;
  try {
    mkdirSync(cacheDir, { recursive: true });
    removeAbandoned(cacheDir, key);
    write(file, repacking, onProgress);
  } catch (cause) {
    if (cause instanceof StartupError) throw cause;
    throw new StartupError(`${file}: cannot be written (${(cause as Error).message}); choose another folder with --cache-dir`, { cause });
  }
  return readSafetensorsHeader(file);
}

/** Names what the file was made from: the weights' content (see fingerprint.ts), the config, the format and the quantisation. */
function contentKey(checkpoint: Checkpoint, quantization: Quantization): string {
  const content = weightsFingerprint(checkpoint.config, checkpoint.weights);
  return createHash('sha256')
    .update(JSON.stringify([FORMAT_VERSION, quantization, content]))
    .digest('hex')
    .slice(0, 16);
}

/** The tensors of a finished file that holds exactly what is expected, else null. */
function readComplete(file: string, expected: readonly RepackedTensor[]): TensorDirectory | null {
  if (!existsSync(file)) return null;
  const fd = openSync(file, 'r');
  try {
    const mark = Buffer.alloc(COMPLETE.length);
    readSync(fd, mark, 0, mark.length, Math.max(0, fstatSync(fd).size - mark.length));
    if (!mark.equals(COMPLETE)) return null;
    const tensors = readSafetensorsHeader(file);
    const isExpected = ({ name, dtype, shape }: RepackedTensor): boolean => {
      const found = tensors.get(name);
      return found?.dtype === dtype && found.shape.join() === shape.join();
    };
    return expected.every(isExpected) ? tensors : null;
  } catch (cause) {
    if (cause instanceof StartupError) return null; // damaged: write it again
    throw cause;
  } finally {
    closeSync(fd);
  }
}

function write(file: string, repacking: Repacking, onProgress: (fraction: number) => void): void {
  const temporary = `${file}.${process.pid}.${randomUUID().slice(0, 8)}.tmp`;
  const { header, offsets, endOfData } = layOut(repacking.tensors);
  const fd = openSync(temporary, 'wx');
  try {
    try {
      writeAll(fd, header, 0);
      for (const { piece, fraction } of repacking.pieces()) {
        writeAll(fd, piece.bytes, offsets.get(piece.name)! + piece.offset);
        onProgress(fraction);
      }
      writeAll(fd, COMPLETE, endOfData);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, file);
  } catch (cause) {
    unlinkSync(temporary);
    throw cause;
  }
}

/** The safetensors header for `tensors`, and where each begins in the file. Data begins on a 64-byte border. */
function layOut(tensors: readonly RepackedTensor[]): { header: Buffer; offsets: Map<string, number>; endOfData: number } {
  const entries: Record<string, unknown> = {};
  const relative = new Map<string, number>();
  let end = 0;
  for (const { name, dtype, shape } of tensors) {
    const begin = Math.ceil(end / 64) * 64;
    end = begin + shape.reduce((product, size) => product * size, DTYPE_BYTES[dtype]);
    entries[name] = { dtype, shape, data_offsets: [begin, end] };
    relative.set(name, begin);
  }
  const json = JSON.stringify(entries);
  const dataStart = Math.ceil((8 + Buffer.byteLength(json)) / 64) * 64;
  const header = Buffer.alloc(dataStart, ' ');
  header.writeBigUInt64LE(BigInt(dataStart - 8));
  header.write(json, 8);
  const offsets = new Map([...relative].map(([name, begin]) => [name, dataStart + begin]));
  return { header, offsets, endOfData: dataStart + end };
}

function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, position + done);
}

/** Removes temporary files for this key whose writer is gone: a killed process leaves them. */
function removeAbandoned(cacheDir: string, key: string): void {
  for (const name of readdirSync(cacheDir)) {
    const pid = new RegExp(`${key}\\.weights\\.(\\d+)\\..*\\.tmp$`).exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) unlinkSync(join(cacheDir, name));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'EPERM';
  }
}
