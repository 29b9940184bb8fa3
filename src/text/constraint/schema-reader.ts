/**
 * JSON schemas (draft 2020-12, and what draft 7 and OpenAPI say differently) to unions of shapes. Nothing is ignored: a keyword is an
 * annotation, is in the shapes, or throws.
 */
import { ConstraintError, unsupported } from './constraint-error.ts';
import { HINT_FORMATS, INTEGER_FORMATS, STRING_FORMATS } from './formats.ts';
import { type Language, languageOf } from './pattern-language.ts';
import { alt, text } from './regex-node.ts';
import { ANY_ARRAY, anyObject, anyShapes, literals, shapeOfType } from './schema-any.ts';
import { complementOf } from './schema-complement.ts';
import { areDisjoint, isMember } from './schema-facts.ts';
import { commonStrings, intersected, joinedSources } from './schema-intersection.ts';
import { below, checkKeywords, isObject, KeywordReader, type SchemaObject } from './schema-keywords.ts';
import { type ArrayShape, canonicalJson, type ObjectShape, type Shape, type Source, type Sources } from './schema-shape.ts';
import { ANY_STRING, type StringShape } from './string-language.ts';
import { spend } from './work-limit.ts';

const MAX_ALTERNATIVES = 256;
const MAX_SOURCES = 20_000;
const MAX_DEPTH = 64;

export class SchemaReader {
  readonly #root: unknown;
  readonly #sources = new Map<string, Source>();
  readonly #anchors = new Map<string, Source>();
  readonly #known = new Map<number, readonly Shape[]>();
  readonly #active = new Set<number>();
  readonly #languages = new Map<string, Language>();

  constructor(root: unknown) {
    this.#root = root;
  }

  source(schema: unknown, path: string): Source {
    const known = this.#sources.get(path);
    if (known) return known;
    if (this.#sources.size >= MAX_SOURCES) throw new ConstraintError(`The schema has more than ${MAX_SOURCES} schemas inside`);
    const source = { id: this.#sources.size, schema, path };
    this.#sources.set(path, source);
    return source;
  }

  get root(): Source {
    return this.source(this.#root, '$');
  }

  /** The values that match all of `sources`; none = nothing can. */
  shapes(sources: Sources): readonly Shape[] {
    if (sources.length === 0) return anyShapes('$');
    return sources.map((source) => this.#shapesOf(source)).reduce((a, b) => this.#both(a, b, sources[0]!.path));
  }

  isMember = (value: unknown, sources: Sources): boolean => this.shapes(sources).some((shape) => isMember(value, shape, this.isMember));

  #shapesOf(source: Source): readonly Shape[] {
    const known = this.#known.get(source.id);
    if (known) return known;
    if (this.#active.has(source.id))
      throw new ConstraintError(`The schema at ${source.path} refers to itself without a property or an item in between`);
    if (this.#active.size >= MAX_DEPTH)
      throw new ConstraintError(`The schema at ${source.path} is combined more than ${MAX_DEPTH} levels deep`);
    this.#active.add(source.id);
    const shapes = this.#read(source);
    this.#active.delete(source.id);
    this.#known.set(source.id, shapes);
    return shapes;
  }

  #read({ schema, path }: Source): readonly Shape[] {
    if (schema === true) return anyShapes(path);
    if (schema === false) return [];
    if (!isObject(schema)) throw new ConstraintError(`The schema at ${path} must be an object, true or false`);
    checkKeywords(schema, path);
    spend(10);
    const read = new KeywordReader(schema, path);
    const parts: (readonly Shape[])[] = [this.#ownShapes(schema, path, read)];
    if (schema.$ref !== undefined) parts.push(this.#shapesOf(this.#target(read.string('$ref')!, path)));
    for (const part of this.#list('allOf', path, read)) parts.push(this.#shapesOf(part));
    const any = this.#list('anyOf', path, read);
    if (any.length > 0) parts.push(this.#union(any));
    const one = this.#list('oneOf', path, read);
    if (one.length > 0) parts.push(this.#disjointUnion(one, path));
    if (schema.not !== undefined) parts.push(this.#not(this.source(schema.not, below(path, 'not')), 'not', path));
    if (schema.if !== undefined && (schema.then !== undefined || schema.else !== undefined)) parts.push(this.#conditional(schema, path));
    parts.push(...this.#dependencies(path, read));
    return parts.reduce((a, b) => this.#both(a, b, path));
  }

  #both(a: readonly Shape[], b: readonly Shape[], path: string): readonly Shape[] {
    spend(20 * a.length * b.length);
    const common = a.flatMap((x) => b.map((y) => intersected(x, y, (value, shape) => isMember(value, shape, this.isMember))));
    return this.#merged(
      common.filter((shape) => shape !== null),
      path,
    );
  }

  /** Listed values become one shape, and equal objects of the union are not repeated. */
  #merged(shapes: readonly Shape[], path: string): readonly Shape[] {
    const values = shapes.flatMap((shape) => (shape.type === 'literals' ? [...shape.values.values()] : []));
    const others = [...new Set(shapes.filter((shape) => shape.type !== 'literals'))];
    if (others.length > MAX_ALTERNATIVES)
      throw new ConstraintError(`The schema at ${path} has more than ${MAX_ALTERNATIVES} alternatives when its parts are combined`);
    return values.length > 0 ? [literals(values), ...others] : others;
  }

  #union(sources: Sources): readonly Shape[] {
    return this.#merged(
      sources.flatMap((source) => this.#shapesOf(source)),
      sources[0]!.path,
    );
  }

  #disjointUnion(sources: Sources, path: string): readonly Shape[] {
    const all = sources.map((source) => this.#shapesOf(source));
    for (let i = 0; i < all.length; i++) {
      for (let j = i + 1; j < all.length; j++) {
        if (all[i]!.every((a) => all[j]!.every((b) => areDisjoint(a, b, this)))) continue;
        throw unsupported('oneOf', path, `is not supported where alternatives overlap, as numbers ${i} and ${j} may: use "anyOf"`);
      }
    }
    return this.#merged(all.flat(), path);
  }

  #not(source: Source, keyword: string, path: string): readonly Shape[] {
    const shapes = complementOf(this.#shapesOf(source), {
      path,
      keyword,
      source: (schema, name) => this.source(schema, name),
      both: (a, b) => this.#both(a, b, path),
    });
    return this.#merged(shapes, path);
  }

  #conditional(schema: SchemaObject, path: string): readonly Shape[] {
    const part = (keyword: 'if' | 'then' | 'else') => this.source(schema[keyword] ?? true, below(path, keyword));
    const met = this.#both(this.#shapesOf(part('if')), this.#shapesOf(part('then')), path);
    const unmet = this.#both(this.#not(part('if'), 'if', path), this.#shapesOf(part('else')), path);
    return this.#merged([...met, ...unmet], path);
  }

  /** `{a: …}`: either there is no property `a`, or what it asks for holds. */
  #dependencies(path: string, read: KeywordReader): (readonly Shape[])[] {
    return ['dependentRequired', 'dependentSchemas', 'dependencies'].flatMap((keyword) =>
      Object.entries(read.object(keyword) ?? {}).map(([name, needed]) => {
        const place = below(below(path, keyword), name);
        if (keyword === 'dependentRequired' && !Array.isArray(needed))
          throw unsupported(keyword, path, 'must hold lists of property names');
        const consequence = Array.isArray(needed) ? { required: needed } : needed;
        const holds = this.source({ allOf: [{ type: 'object', required: [name] }, consequence] }, place);
        const never = this.source(false, `${place} (absent)`);
        const absent: ObjectShape = { ...anyObject(path), properties: new Map([[name, [never]]]) };
        return [
          ...anyShapes(path).filter(({ type }) => type !== 'object'),
          absent,
          ...this.#shapesOf(holds).filter(({ type }) => type === 'object'),
        ];
      }),
    );
  }

  #list(keyword: string, path: string, read: KeywordReader): Source[] {
    const list = read.list(keyword);
    if (list?.length === 0) throw unsupported(keyword, path, 'must not be empty');
    return (list ?? []).map((schema, index) => this.source(schema, below(below(path, keyword), index)));
  }

  /** Where a `$ref` points: `#`, `#/a/b` or `#anchor`. */
  #target(reference: string, path: string): Source {
    const missing = () =>
      new ConstraintError(
        `"$ref" at ${path} points to ${JSON.stringify(reference)}, which is not in the schema (only references that begin with # are followed)`,
      );
    if (!reference.startsWith('#')) throw missing();
    let pointer: string;
    try {
      pointer = decodeURIComponent(reference.slice(1));
    } catch {
      throw missing();
    }
    if (pointer === '') return this.root;
    if (!pointer.startsWith('/')) {
      this.#findAnchors();
      const anchored = this.#anchors.get(pointer);
      if (!anchored) throw missing();
      return anchored;
    }
    let schema: unknown = this.#root;
    let place = '$';
    for (const part of pointer.slice(1).split('/')) {
      const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
      if (typeof schema !== 'object' || schema === null || !Object.hasOwn(schema, key)) throw missing();
      place = below(place, Array.isArray(schema) ? Number(key) : key);
      schema = (schema as SchemaObject)[key];
    }
    return this.source(schema, place);
  }

  #findAnchors(): void {
    if (this.#anchors.size > 0) return;
    const visit = (value: unknown, path: string): void => {
      if (typeof value !== 'object' || value === null) return;
      const anchor = (value as SchemaObject).$anchor;
      if (typeof anchor === 'string') this.#anchors.set(anchor, this.source(value, path));
      for (const [key, inner] of Object.entries(value)) visit(inner, below(path, Array.isArray(value) ? Number(key) : key));
    };
    visit(this.#root, '$');
  }

  /** Everything but the combinators. */
  #ownShapes(schema: SchemaObject, path: string, read: KeywordReader): readonly Shape[] {
    const shapes = this.#types(schema, path, read).map((shape) => this.#restricted(shape, schema, path, read));
    const listed = Object.hasOwn(schema, 'const') ? [schema.const] : read.list('enum');
    if (listed === null) return shapes;
    spend(2 * listed.length);
    const isListedTwice = Object.hasOwn(schema, 'const') && Object.hasOwn(schema, 'enum');
    const others = isListedTwice ? new Set(read.list('enum')!.map(canonicalJson)) : null;
    const fitting = listed.filter((value) => shapes.some((shape) => isMember(value, shape, this.isMember)));
    const kept = fitting.filter((value) => others === null || others.has(canonicalJson(value)));
    return kept.length > 0 ? [literals(kept)] : [];
  }

  #types(schema: SchemaObject, path: string, read: KeywordReader): readonly Shape[] {
    const named = typeof schema.type === 'string' ? [schema.type] : read.list('type');
    if (named === null) return anyShapes(path);
    const shapes = named.map((type) => {
      const shape = typeof type === 'string' ? shapeOfType(type, path) : undefined;
      if (!shape) throw unsupported('type', path, `must name JSON types, not ${JSON.stringify(type)}`);
      return shape;
    });
    const isNullable = read.boolean('nullable') === true; // OpenAPI 3.0
    return this.#merged(isNullable ? [...shapes, literals([null])] : shapes, path);
  }

  #restricted(shape: Shape, schema: SchemaObject, path: string, read: KeywordReader): Shape {
    switch (shape.type) {
      case 'literals':
        return shape;
      case 'number':
        return this.#number(shape, schema, path, read);
      case 'string':
        return { type: 'string', ...this.#string(schema, path, read) };
      case 'array':
        return this.#array(schema, path, read);
      case 'object':
        return this.#object(schema, path, read);
      default:
        return shape satisfies never;
    }
  }

  #number(shape: Shape & { type: 'number' }, schema: SchemaObject, path: string, read: KeywordReader): Shape {
    const format = read.string('format');
    const limits = format === null || schema.type === 'string' ? undefined : INTEGER_FORMATS[format];
    const [min, below] = [read.number('minimum'), read.number('exclusiveMinimum')];
    const [max, above] = [read.number('maximum'), read.number('exclusiveMaximum')];
    const bounds: (Shape & { type: 'number' })[] = [
      { ...shape, min: inclusive(min), max: inclusive(max) },
      { ...shape, min: exclusive(below), max: exclusive(above) },
      { ...shape, min: inclusive(limits?.minimum ?? null), max: inclusive(limits?.maximum ?? null) },
    ];
    const common = bounds.reduce((a, b) => intersected(a, b, () => false) as Shape & { type: 'number' });
    const divisor = read.number('multipleOf');
    if (divisor === null) return common;
    if (divisor <= 0) throw unsupported('multipleOf', path, 'must be above 0');
    if (!Number.isSafeInteger(divisor)) throw unsupported('multipleOf', path, 'is supported for whole numbers only');
    return { ...common, isInteger: true, divisors: divisor === 1 ? [] : [divisor] };
  }

  #string(schema: SchemaObject, path: string, read: KeywordReader): StringShape {
    const shape: StringShape = { ...ANY_STRING, minLength: read.count('minLength') ?? 0, maxLength: read.count('maxLength') };
    const pattern = read.string('pattern');
    const format = read.string('format');
    const isHint = format === null || HINT_FORMATS.has(format) || Object.hasOwn(INTEGER_FORMATS, format);
    if (!isHint && !Object.hasOwn(STRING_FORMATS, format)) {
      throw unsupported('format', path, `knows ${Object.keys(STRING_FORMATS).join(', ')}, but not ${JSON.stringify(format)}`);
    }
    const isString =
      schema.type === undefined || schema.type === 'string' || (Array.isArray(schema.type) && schema.type.includes('string'));
    if (!isString) return shape;
    const parts: StringShape[] = [shape];
    if (!isHint) parts.push(formatShape(format));
    if (pattern !== null) parts.push({ ...ANY_STRING, ...this.#named(path, () => this.#language(pattern)) });
    return parts.length === 2 && isFree(shape) ? parts[1]! : parts.reduce(commonStrings);
  }

  #language(pattern: string): Language {
    const known = this.#languages.get(pattern);
    if (known) return known;
    const language = languageOf(pattern, { isWhole: false });
    this.#languages.set(pattern, language);
    return language;
  }

  #named<T>(path: string, read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (error instanceof ConstraintError) throw new ConstraintError(`Schema keyword "pattern" at ${path}: ${error.message}`);
      throw error;
    }
  }

  #array(schema: SchemaObject, path: string, read: KeywordReader): ArrayShape {
    // Draft 7 writes `items: [...]` and `additionalItems` for `prefixItems` and `items`.
    const isOld = Array.isArray(schema.items);
    const prefixAt = below(path, isOld ? 'items' : 'prefixItems');
    const prefix = (isOld ? (schema.items as unknown[]) : (read.list('prefixItems') ?? [])).map((item, index) => [
      this.source(item, below(prefixAt, index)),
    ]);
    const restKey = ['items', 'additionalItems', 'unevaluatedItems'].find((key) => {
      if (key === 'items' && isOld) return false;
      if (key === 'additionalItems' && !isOld) return false;
      return schema[key] !== undefined;
    });
    if (restKey === 'unevaluatedItems' && typeof schema.unevaluatedItems !== 'boolean') throw unsupported('unevaluatedItems', path);
    const minContains = read.count('minContains') ?? 1;
    const contains =
      schema.contains !== undefined && minContains > 0
        ? [{ sources: [this.source(schema.contains, below(path, 'contains'))], min: minContains, path }]
        : [];
    return {
      ...ANY_ARRAY,
      prefix,
      rest: restKey === undefined ? [] : [this.source(schema[restKey], below(path, restKey))],
      minItems: read.count('minItems') ?? 0,
      maxItems: read.count('maxItems'),
      contains,
      uniqueAt: read.boolean('uniqueItems') === true ? path : null,
    };
  }

  #object(schema: SchemaObject, path: string, read: KeywordReader): ObjectShape {
    const patterns = Object.entries(read.object('patternProperties') ?? {}).map(([pattern, inner]) => ({
      pattern: this.#named(path, () => this.#language(pattern)),
      sources: [this.source(inner, below(below(path, 'patternProperties'), pattern))],
    }));
    const shape: ObjectShape = {
      ...anyObject(path),
      patterns: patterns.map(({ pattern, sources }) => ({ ...pattern, sources })),
      additional: this.#additional(schema, path),
      isClosed: schema.unevaluatedProperties === false,
      names: this.#names(schema, path),
      required: new Set(read.names('required')),
      minProperties: read.count('minProperties') ?? 0,
      maxProperties: read.count('maxProperties'),
    };
    const properties = new Map<string, Sources>();
    for (const [name, inner] of Object.entries(read.object('properties') ?? {})) {
      const matching = shape.patterns.filter(({ every, none }) =>
        isMember(name, { type: 'string', ...ANY_STRING, every, none }, this.isMember),
      );
      const own = [this.source(inner, below(below(path, 'properties'), name))];
      properties.set(
        name,
        matching.reduce<Sources>((all, { sources }) => joinedSources(all, sources), own),
      );
    }
    return { ...shape, properties };
  }

  #additional(schema: SchemaObject, path: string): Sources | null {
    if (schema.additionalProperties !== undefined) return [this.source(schema.additionalProperties, below(path, 'additionalProperties'))];
    const rest = schema.unevaluatedProperties;
    if (rest === undefined || rest === false) return null;
    if (rest === true) return [];
    throw unsupported('unevaluatedProperties', path, 'is supported with true or false only');
  }

  #names(schema: SchemaObject, path: string): StringShape {
    if (schema.propertyNames === undefined) return ANY_STRING;
    const source = this.source(schema.propertyNames, below(path, 'propertyNames'));
    const shapes = this.#shapesOf(source);
    const strings = shapes.filter((shape) => shape.type === 'string');
    const names = shapes
      .flatMap((shape) => (shape.type === 'literals' ? [...shape.values.values()] : []))
      .filter((value) => typeof value === 'string');
    if (strings.length === 0) return { ...ANY_STRING, every: [alt(...names.map(text))] };
    if (strings.length === 1 && names.length === 0) return strings[0]!;
    throw unsupported('propertyNames', path, 'is supported for one pattern, one list of names, or lengths');
  }
}

const isFree = ({ minLength, maxLength }: StringShape): boolean => minLength === 0 && maxLength === null;

/** One for all requests: what was made of it once is kept with it. */
function formatShape(format: string): StringShape {
  const made = formatShapes.get(format);
  if (made) return made;
  const shape = { ...ANY_STRING, ...languageOf(STRING_FORMATS[format]!, { isWhole: true }) };
  formatShapes.set(format, shape);
  return shape;
}

const formatShapes = new Map<string, StringShape>();

const inclusive = (value: number | null) => (value === null ? null : { value, isExclusive: false });
const exclusive = (value: number | null) => (value === null ? null : { value, isExclusive: true });
