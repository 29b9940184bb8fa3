/** A call as a JSON object, `{"name": "f", "arguments": {…}}`, of which the arguments stream on as they come. */

import { firstCharacter, type Reading, type TextInput, takeUntil } from '../text-input.ts';
import { JsonScanner, memberTexts } from './json-scanner.ts';
import type { ToolOutput } from './tool-output.ts';

export interface CallObjectOptions {
  /** What ends a call whose JSON is broken; null = nothing does. */
  readonly end: string | null;
  /** Whether an object with this name is a call at all; by default any name is. */
  readonly isTool?: (name: string) => boolean;
}

/** The name comes within so many characters, or the object is read as a whole first. */
const MAX_HEAD_LENGTH = 4096;
const HEAD = /^\s*\{\s*(?:"type"\s*:\s*"function"\s*,\s*)?"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)/;

/**
 * Reads one call. False = what comes is no call, and nothing was taken of it. A call that was begun stays one: when its arguments turn out
 * to be broken, they are passed on as they are.
 */
export function* readCall(input: TextInput, out: ToolOutput, options: CallObjectOptions): Reading<boolean> {
  const { isTool = () => true } = options;
  const scanner = new JsonScanner();
  for (let numScanned = 0; ; ) {
    const head = HEAD.exec(input.rest.slice(0, MAX_HEAD_LENGTH));
    if (head) {
      const name = parsed(head[1]!);
      if (typeof name !== 'string' || name === '' || !isTool(name)) return false;
      input.take(head[0].length);
      out.beginCall(name);
      if (yield* readArguments(input, out, options.end)) yield* closeObject(input);
      return true;
    }
    const start = input.rest.slice(0, MAX_HEAD_LENGTH).search(/\S/);
    if (start < 0 ? input.rest.length >= MAX_HEAD_LENGTH : input.rest[start] !== '{') return false;
    if (numScanned === 0 && start > 0) numScanned = start;
    numScanned += scanner.scan(input.rest.slice(numScanned));
    if (scanner.isBroken || (input.isEnded && !scanner.isComplete)) return false;
    if (scanner.isComplete) return takeWhole(input, out, numScanned, isTool);
    yield;
  }
}

/**
 * Streams the object that begins here as the arguments of the call that was begun. Broken ones end before `end`, which is left.
 * @returns whether the object was complete.
 */
export function* readArguments(input: TextInput, out: ToolOutput, end: string | null): Reading<boolean> {
  const scanner = new JsonScanner();
  for (;;) {
    out.addArguments(input.take(scanner.scan(input.rest)));
    if (scanner.isComplete) return true;
    if (scanner.isBroken) break;
    if (input.isEnded) return false;
    yield;
  }
  const found = yield* takeUntil(input, end === null ? [] : [end], (text) => out.addArguments(text));
  if (found !== null) input.rest = found + input.rest;
  return false;
}

/** The members after the arguments, if any, and the closing bracket, which some models forget. */
function* closeObject(input: TextInput): Reading<void> {
  const scanner = new JsonScanner();
  scanner.scan('{');
  const next = yield* firstCharacter(input);
  if (next !== ',' && next !== '}') return;
  for (let numScanned = 0; ; ) {
    numScanned += scanner.scan(input.rest.slice(numScanned));
    if (scanner.isComplete) input.take(numScanned);
    if (scanner.isComplete || scanner.isBroken || input.isEnded) return;
    yield;
  }
}

/** An object whose arguments could not stream: the name comes last, or there are none. */
function takeWhole(input: TextInput, out: ToolOutput, length: number, isTool: (name: string) => boolean): boolean {
  const text = input.rest.slice(0, length);
  const call = parsed(text) as { readonly name?: unknown } | undefined;
  if (typeof call?.name !== 'string' || call.name === '' || !isTool(call.name)) return false;
  const members = memberTexts(text);
  const given = argumentsText(members.get('arguments') ?? members.get('parameters'));
  if (given === null) return false;
  input.take(length);
  out.beginCall(call.name);
  out.addArguments(given);
  return true;
}

/** None or null are no arguments; some models write the object as a string. Null = neither. */
function argumentsText(text = 'null'): string | null {
  if (text === 'null') return '{}';
  if (text.startsWith('{')) return text;
  const inner = parsed(text);
  const object = typeof inner === 'string' ? parsed(inner) : undefined;
  return typeof object === 'object' && object !== null && !Array.isArray(object) ? (inner as string) : null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
