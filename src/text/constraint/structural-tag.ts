/**
 * Structural tags: text with constrained parts, as XGrammar's formats. Schemas and patterns inside become grammars of ours, so that they
 * are enforced as strictly as anywhere else. The older `{structures, triggers}` becomes the newer form.
 */
import { ConstraintError } from './constraint-error.ts';
import { EbnfWriter } from './ebnf.ts';
import { rewriteClasses } from './ebnf-classes.ts';
import { languageOf } from './pattern-language.ts';
import { schemaExpression } from './schema-grammar.ts';
import { isObject } from './schema-keywords.ts';
import { plainText } from './string-language.ts';

/** A node of XGrammar's `format`. */
export type Format = { readonly type: string } & Readonly<Record<string, unknown>>;

const MAX_DEPTH = 20;
const MAX_PARTS = 500;

/** @throws ConstraintError */
export function formatOfTag(tag: unknown): Format {
  const value = isObject(tag) ? tag : parsed(tag);
  if (value.format !== undefined) return new Checked().format(value.format, 'format');
  if (value.structures !== undefined || value.triggers !== undefined) return legacy(value);
  throw new ConstraintError('A structural tag has a "format", or "structures" and "triggers"');
}

/** @throws ConstraintError */
export const schemaFormat = (schema: unknown): Format => grammarFormat((writer) => schemaExpression(schema, writer));

export const regexFormat = (pattern: string): Format =>
  grammarFormat((writer) => {
    const { every, none } = languageOf(pattern, { isWhole: true });
    return plainText(every, none, writer);
  });

export function grammarFormat(write: (writer: EbnfWriter) => string): Format {
  const writer = new EbnfWriter();
  const start = write(writer);
  return { type: 'grammar', grammar: writer.grammar(start) };
}

/** EBNF goes to the compiler almost as it is; what that says about mistakes is the reply. */
export function ebnfFormat(ebnf: unknown): Format {
  if (typeof ebnf !== 'string' || ebnf.trim() === '') throw new ConstraintError('The grammar must be EBNF text that is not empty');
  if (!/(^|\n)\s*root\s*::=/.test(ebnf)) throw new ConstraintError('The grammar has no rule "root", where it would start');
  return { type: 'grammar', grammar: rewriteClasses(ebnf) };
}

function legacy({ structures, triggers }: Readonly<Record<string, unknown>>): Format {
  if (!Array.isArray(structures)) throw new ConstraintError('"structures" must be a list of {begin, schema, end}');
  const tags = structures.map((structure: unknown, index) => {
    if (!isObject(structure)) throw new ConstraintError(`structures[${index}] must be an object {begin, schema, end}`);
    const { begin, schema, end } = structure;
    const parsedSchema = typeof schema === 'string' ? parsed(schema) : schema;
    return { type: 'tag', begin, content: { type: 'json_schema', json_schema: parsedSchema ?? true }, end };
  });
  return new Checked().format({ type: 'triggered_tags', triggers, tags }, 'structures');
}

function parsed(value: unknown): Readonly<Record<string, unknown>> {
  let result: unknown = value;
  try {
    if (typeof value === 'string') result = JSON.parse(value);
  } catch {
    throw new ConstraintError('The JSON text cannot be read');
  }
  if (!isObject(result)) throw new ConstraintError('A JSON object is expected');
  return result;
}

class Checked {
  #numParts = 0;

  format(value: unknown, path: string, depth = 0): Format {
    this.#numParts += 1;
    if (depth > MAX_DEPTH) throw new ConstraintError(`The structural tag is nested more than ${MAX_DEPTH} levels deep`);
    if (this.#numParts > MAX_PARTS) throw new ConstraintError(`The structural tag has more than ${MAX_PARTS} parts`);
    if (!isObject(value)) throw wrong(path, 'must be an object with a "type"');
    const formats = (key: string, type?: string) => {
      const list = value[key];
      if (!Array.isArray(list) || list.length === 0) throw wrong(`${path}.${key}`, 'must be a list that is not empty');
      return list.map((inner: unknown, index) => {
        const place = `${path}.${key}[${index}]`;
        if (type !== undefined && isObject(inner) && inner.type !== undefined && inner.type !== type)
          throw wrong(place, `must be a "${type}"`);
        return this.format(type !== undefined && isObject(inner) ? { ...inner, type } : inner, place, depth + 1);
      });
    };
    const flags = () => ({ ...flag(value, 'at_least_one', path), ...flag(value, 'stop_after_first', path) });
    switch (value.type) {
      case 'any_text':
        return { type: 'any_text' };
      case 'const_string':
        return { type: 'const_string', value: textOf(value, 'value', path, { isEmptyAllowed: false }) };
      case 'json_schema':
        return named(`${path}.json_schema`, () => schemaFormat(value.json_schema));
      case 'regex':
        return named(`${path}.pattern`, () => regexFormat(textOf(value, 'pattern', path, { isEmptyAllowed: false })));
      case 'grammar':
        return named(`${path}.grammar`, () => ebnfFormat(value.grammar));
      case 'sequence':
      case 'or':
        return { type: value.type, elements: formats('elements') };
      case 'tag':
        return {
          type: 'tag',
          begin: textOf(value, 'begin', path, { isEmptyAllowed: true }),
          content: this.format(value.content, `${path}.content`, depth + 1),
          end: textOf(value, 'end', path, { isEmptyAllowed: true }),
        };
      case 'triggered_tags': {
        const tags = formats('tags', 'tag');
        const triggers = triggersOf(value.triggers, `${path}.triggers`);
        tags.forEach((tag, index) => {
          const matching = triggers.filter((trigger) => (tag.begin as string).startsWith(trigger));
          if (matching.length !== 1) throw wrong(`${path}.tags[${index}].begin`, 'must begin with exactly one of the triggers');
        });
        return { type: 'triggered_tags', triggers, tags, ...flags() };
      }
      case 'tags_with_separator':
        return {
          type: 'tags_with_separator',
          tags: formats('tags', 'tag'),
          separator: textOf(value, 'separator', path, { isEmptyAllowed: true }),
          ...flags(),
        };
      default:
        throw wrong(
          `${path}.type`,
          'must be any_text, const_string, json_schema, regex, grammar, sequence, or, tag, triggered_tags or tags_with_separator',
        );
    }
  }
}

const wrong = (path: string, what: string): ConstraintError => new ConstraintError(`${path} ${what}`);

function named(path: string, read: () => Format): Format {
  try {
    return read();
  } catch (error) {
    if (error instanceof ConstraintError) throw new ConstraintError(`${path}: ${error.message}`);
    throw error;
  }
}

function textOf(
  value: Readonly<Record<string, unknown>>,
  key: string,
  path: string,
  { isEmptyAllowed }: { readonly isEmptyAllowed: boolean },
): string {
  const text = value[key];
  if (typeof text === 'string' && (isEmptyAllowed || text !== '')) return text;
  throw wrong(`${path}.${key}`, isEmptyAllowed ? 'must be a string' : 'must be a string that is not empty');
}

function flag(value: Readonly<Record<string, unknown>>, key: string, path: string): Record<string, boolean> {
  const set = value[key];
  if (set === undefined) return {};
  if (typeof set !== 'boolean') throw wrong(`${path}.${key}`, 'must be true or false');
  return { [key]: set };
}

function triggersOf(value: unknown, path: string): readonly string[] {
  const isRight = Array.isArray(value) && value.length > 0 && value.every((trigger) => typeof trigger === 'string' && trigger !== '');
  if (!isRight) throw wrong(path, 'must be a list of strings that are not empty');
  return value as string[];
}
