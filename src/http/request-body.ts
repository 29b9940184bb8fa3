/** From the bytes of a body to a checked object, or to the error that names the first field at fault. */
import JSON5 from 'json5';
import type { z } from 'zod';
import { TroupeError } from '../core/errors.ts';
import { FieldError } from './error-reply.ts';
import { FIELD_REQUIRED } from './schema-fields.ts';

type JsonObject = Readonly<Record<string, unknown>>;

/** JSON5 reads about 5 MB a second, on the thread that serves everyone: longer bodies get strict JSON only. */
const MAX_TOLERANT_BYTES = 256 * 1024;
/** What reads a message's fields (templates above all) is recursive. */
const MAX_DEPTH = 256;

/**
 * @param bytes a JSON object; trailing commas and the like are forgiven, since one of FastDeploy's own examples has one. Null = the
 *   body was longer than the server takes.
 * @returns the object without its `null` fields: null means absent.
 * @throws TroupeError payload_too_large, invalid_request.
 */
export function readJsonObject(bytes: Uint8Array | null, maxBodyBytes: number): JsonObject {
  if (bytes === null || bytes.byteLength > maxBodyBytes) {
    throw new TroupeError('payload_too_large', `The request body is longer than ${maxBodyBytes} bytes (--max-body-bytes).`);
  }
  const value = parseJson(decodeUtf8(bytes));
  if (isNestedDeeper(value, MAX_DEPTH)) {
    throw new TroupeError('invalid_request', `The request body is nested deeper than ${MAX_DEPTH} levels.`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TroupeError('invalid_request', 'The request body must be a JSON object.');
  }
  return withoutNulls(value as JsonObject);
}

/** @throws FieldError with the path of the first issue, spelled like `messages[0].role`. */
export function checkBody<Schema extends z.ZodType>(schema: Schema, body: JsonObject): z.output<Schema> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = issue?.path ?? [];
  const message = issue?.message ?? 'The request body is not valid.';
  throw new FieldError(message === FIELD_REQUIRED ? 'missing_required_parameter' : 'invalid_value', message, { param: spellPath(path) });
}

export function withoutNulls(fields: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}

/** Level by level, so that no depth can exhaust the stack. */
function isNestedDeeper(value: unknown, maxDepth: number): boolean {
  let level = [value].filter(isContainer);
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > maxDepth) return true;
    const next: object[] = [];
    for (const container of level) {
      for (const item of Array.isArray(container) ? container : Object.values(container)) if (isContainer(item)) next.push(item);
    }
    level = next;
  }
  return false;
}

const isContainer = (value: unknown): value is object => typeof value === 'object' && value !== null;

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new TroupeError('invalid_request', 'The request body is not valid UTF-8 (compressed bodies are not taken).', { cause });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (strict) {
    try {
      if (text.length <= MAX_TOLERANT_BYTES) return JSON5.parse(text);
    } catch {
      // The strict parser's message is the one to tell.
    }
    throw new TroupeError('invalid_request', `The request body is not valid JSON: ${(strict as SyntaxError).message}`, { cause: strict });
  }
}

function spellPath(path: readonly PropertyKey[]): string {
  return path.map((step, i) => (typeof step === 'number' ? `[${step}]` : `${i > 0 ? '.' : ''}${String(step)}`)).join('');
}
