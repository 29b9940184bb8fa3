/** Which keywords of a JSON schema do what here. Everything that no draft knows is an annotation. */
import { ConstraintError, unsupported } from './constraint-error.ts';

/** Nothing enforces these. All other keywords of the drafts are enforced (schema-reader.ts) or say something about a value without asking anything of it. */
const REFUSED = new Set([
  '$dynamicRef',
  '$dynamicAnchor',
  '$recursiveRef',
  '$recursiveAnchor',
  'maxContains',
  'extends',
  'disallow',
  'divisibleBy',
]);

export type SchemaObject = Readonly<Record<string, unknown>>;

/** @throws ConstraintError for a keyword that would not be enforced. */
export function checkKeywords(schema: SchemaObject, path: string): void {
  for (const keyword of Object.keys(schema)) {
    if (REFUSED.has(keyword)) throw unsupported(keyword, path);
  }
  if (path !== '$' && typeof schema.$id === 'string') throw unsupported('$id', path, 'is supported at the top of a schema only');
}

export const isObject = (value: unknown): value is SchemaObject => typeof value === 'object' && value !== null && !Array.isArray(value);

/** A readable, unique name for the place of `key` below `path`. */
export const below = (path: string, key: string | number): string => {
  if (typeof key === 'number') return `${path}[${key}]`;
  return /^[$A-Za-z_][\w$-]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
};

/** Reads keywords whose values must be of a kind; absent = null. Every message names the keyword and its place. */
export class KeywordReader {
  readonly #schema: SchemaObject;
  readonly #path: string;

  constructor(schema: SchemaObject, path: string) {
    this.#schema = schema;
    this.#path = path;
  }

  number(keyword: string): number | null {
    return this.#read(keyword, 'must be a number', (value): value is number => typeof value === 'number' && Number.isFinite(value));
  }

  count(keyword: string): number | null {
    return this.#read(
      keyword,
      'must be a whole number, 0 or more',
      (value): value is number => Number.isSafeInteger(value) && (value as number) >= 0,
    );
  }

  string(keyword: string): string | null {
    return this.#read(keyword, 'must be a string', (value): value is string => typeof value === 'string');
  }

  boolean(keyword: string): boolean | null {
    return this.#read(keyword, 'must be true or false', (value): value is boolean => typeof value === 'boolean');
  }

  list(keyword: string): readonly unknown[] | null {
    return this.#read(keyword, 'must be a list', (value): value is readonly unknown[] => Array.isArray(value));
  }

  names(keyword: string): readonly string[] | null {
    const isNames = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every((name) => typeof name === 'string');
    return this.#read(keyword, 'must be a list of property names', isNames);
  }

  object(keyword: string): SchemaObject | null {
    return this.#read(keyword, 'must be an object', isObject);
  }

  #read<T>(keyword: string, claim: string, isRight: (value: unknown) => value is T): T | null {
    const value = Object.hasOwn(this.#schema, keyword) ? this.#schema[keyword] : undefined;
    if (value === undefined) return null;
    if (isRight(value)) return value;
    throw unsupported(keyword, this.#path, claim);
  }
}

const MAX_DEPTH = 100;
const MAX_VALUES = 20_000;

/** Before anything walks it: the nesting and the number of values of some JSON. Needs no stack. @throws ConstraintError */
export function checkSize(root: unknown): void {
  let level: unknown[] = [root];
  let numValues = 0;
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) throw new ConstraintError(`The constraint is nested more than ${MAX_DEPTH} levels deep`);
    numValues += level.length;
    if (numValues > MAX_VALUES) throw new ConstraintError(`The constraint has more than ${MAX_VALUES} values`);
    level = level.flatMap((value) => (typeof value === 'object' && value !== null ? Object.values(value) : []));
  }
}
