/** Reference data for the text tests: tokenizers of all oracle folders and of the embedded model, and recorded results beside the tests. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import { ORACLES, oracleDir } from './oracles.ts';

export const MINI_DIR = resolve(import.meta.dirname, '../../models/troupe-mini');

export function readJson<T>(...path: readonly string[]): T {
  return JSON.parse(readFileSync(join(...path), 'utf8')) as T;
}

/** test/fixtures/text/… */
export function textFixture<T>(name: string): T {
  return readJson<T>(import.meta.dirname, '../fixtures/text', name);
}

/** Oracle folders that have tokenizer goldens. Throws when there are none. */
export function tokenizerOracles(): string[] {
  const names = readdirSync(ORACLES).filter((name) => existsSync(join(ORACLES, name, 'golden-tokenizer.json')));
  if (names.length === 0) throw new Error(`No golden-tokenizer.json under ${ORACLES}: set TROUPE_ORACLES`);
  return names;
}

/** By the name of an oracle folder, or `troupe-mini`. */
export function tokenizerOf(name: string): Tokenizer {
  return Tokenizer.load(name === 'troupe-mini' ? MINI_DIR : oracleDir(name));
}

/** Every way to cut a short text into two, and into single characters; long texts are cut at some places. */
export function cuts(text: string): string[][] {
  const places = Array.from({ length: Math.min(text.length, 60) }, (_, i) => Math.floor(((i + 1) * text.length) / 60));
  return [[text], [...text], ...places.map((at) => [text.slice(0, at), text.slice(at)])];
}
