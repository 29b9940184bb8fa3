/** What a schema does not match, for `not` and `if`: possible where the schema is about types, values, ranges, texts and properties. */
import { unsupported } from './constraint-error.ts';
import { text } from './regex-node.ts';
import { ANY_NUMBER, anyObject, anyShapes, literals } from './schema-any.ts';
import type { ObjectShape, Shape, Source } from './schema-shape.ts';
import { ANY_STRING } from './string-language.ts';

interface Context {
  readonly path: string;
  /** `not` or `if`, for messages. */
  readonly keyword: string;
  source(schema: unknown, path: string): Source;
  both(a: readonly Shape[], b: readonly Shape[]): readonly Shape[];
}

/** @throws ConstraintError where no grammar can say it. */
export function complementOf(shapes: readonly Shape[], context: Context): readonly Shape[] {
  return shapes.map((shape) => outside(shape, context)).reduce<readonly Shape[]>(context.both, anyShapes(context.path));
}

function outside(shape: Shape, context: Context): readonly Shape[] {
  const { path, keyword } = context;
  const refused = (what: string) => unsupported(keyword, path, `is not supported around ${what}`);
  const all = anyShapes(path);
  const othersThan = (type: Shape['type']) => all.filter((other) => other.type !== type);
  switch (shape.type) {
    case 'literals':
      return all.map((other) => without(other, [...shape.values.values()], refused));
    case 'number': {
      if (shape.isInteger || shape.divisors.length > 0 || shape.excluded.length > 0)
        throw refused('integers, "multipleOf" or listed numbers');
      const below = shape.min && { ...ANY_NUMBER, max: { value: shape.min.value, isExclusive: !shape.min.isExclusive } };
      const above = shape.max && { ...ANY_NUMBER, min: { value: shape.max.value, isExclusive: !shape.max.isExclusive } };
      return [...othersThan('number'), ...[below, above].filter((part) => part !== null)];
    }
    case 'string': {
      const parts: Shape[] = [];
      if (shape.minLength > 0) parts.push({ type: 'string', ...ANY_STRING, maxLength: shape.minLength - 1 });
      if (shape.maxLength !== null) parts.push({ type: 'string', ...ANY_STRING, minLength: shape.maxLength + 1 });
      for (const node of shape.every) parts.push({ type: 'string', ...ANY_STRING, none: [node] });
      for (const node of shape.none) parts.push({ type: 'string', ...ANY_STRING, every: [node] });
      return [...othersThan('string'), ...parts];
    }
    case 'array': {
      const isPlain = shape.prefix.length === 0 && shape.rest.length === 0 && shape.contains.length === 0 && shape.uniqueAt === null;
      if (!isPlain || shape.minItems > 0 || shape.maxItems !== null) throw refused('arrays');
      return othersThan('array');
    }
    case 'object':
      return [...othersThan('object'), ...outsideObject(shape, context, refused)];
    default:
      return shape satisfies never;
  }
}

function outsideObject(shape: ObjectShape, context: Context, refused: (what: string) => Error): readonly Shape[] {
  const { additional, patterns, names, minProperties, maxProperties, isClosed } = shape;
  const isNamed = names.every.length > 0 || names.none.length > 0 || names.minLength > 0 || names.maxLength !== null;
  if ((additional?.length ?? 0) > 0 || isClosed || patterns.length > 0 || isNamed || minProperties > 0 || maxProperties !== null) {
    throw refused('objects with more than "properties" and "required"');
  }
  const never = context.source(false, `${context.path} (absent)`);
  const absent = [...shape.required].map((name) => ({ ...anyObject(context.path), properties: new Map([[name, [never]]]) }));
  const different = [...shape.properties].map(([name, sources]) => {
    const opposite = context.source(
      { not: { allOf: sources.map(({ schema }) => schema) } },
      `not(${sources.map(({ path }) => path).join(', ')})`,
    );
    return { ...anyObject(context.path), required: new Set([name]), properties: new Map([[name, [opposite]]]) };
  });
  return [...absent, ...different];
}

function without(shape: Shape, values: readonly unknown[], refused: (what: string) => Error): Shape {
  switch (shape.type) {
    case 'literals':
      return literals([...shape.values.values()].filter((value) => !values.includes(value)));
    case 'number': {
      const numbers = values.filter((value) => typeof value === 'number');
      return { ...shape, excluded: [...shape.excluded, ...numbers] };
    }
    case 'string':
      return { ...shape, none: [...shape.none, ...values.filter((value) => typeof value === 'string').map(text)] };
    case 'array':
      if (values.some(Array.isArray)) throw refused('listed arrays');
      return shape;
    case 'object':
      if (values.some((value) => typeof value === 'object' && value !== null && !Array.isArray(value))) throw refused('listed objects');
      return shape;
    default:
      return shape satisfies never;
  }
}
