/** Arguments bound to parameters, as Python does it, for filters, tests, methods and global functions. */
import { TemplateError } from './errors.ts';
import { type Arguments, numberOf, textOf, typeName, type Value } from './values.ts';

/** Parameter name → default; a required parameter has none (undefined). */
export type Parameters<Name extends string> = Readonly<Record<Name, Value | undefined>>;

/**
 * One value for each parameter, in the order given.
 * @throws TemplateError for a missing, unknown or surplus argument.
 */
export function bind<Name extends string>(callee: string, args: Arguments, parameters: Parameters<Name>): Record<Name, Value> {
  const names = Object.keys(parameters) as Name[];
  if (args.positional.length > names.length)
    throw new TemplateError(`${callee} takes at most ${names.length} arguments, got ${args.positional.length}`);
  for (const name of args.keyword.keys()) {
    if (!names.includes(name as Name)) throw new TemplateError(`${callee} has no parameter '${name}', or it is not supported`);
  }
  const bound: Partial<Record<Name, Value>> = {};
  names.forEach((name, i) => {
    const isPositional = i < args.positional.length;
    if (isPositional && args.keyword.has(name)) throw new TemplateError(`${callee} got two values for '${name}'`);
    const value = isPositional ? args.positional[i] : (args.keyword.get(name) ?? (args.keyword.has(name) ? null : parameters[name]));
    if (value === undefined) throw new TemplateError(`${callee} needs a value for '${name}'`);
    bound[name] = value;
  });
  return bound as Record<Name, Value>;
}

export const NO_ARGUMENTS: Arguments = { positional: [], keyword: new Map() };

/** @throws TemplateError naming `what` when the value is no string. */
export function requireText(what: string, value: Value): string {
  const text = textOf(value);
  if (text === null) throw new TemplateError(`${what} must be a string, not ${typeName(value)}`);
  return text;
}

/** @throws TemplateError naming `what` when the value is no int. */
export function requireInteger(what: string, value: Value): number {
  if (typeof value !== 'number' && typeof value !== 'boolean')
    throw new TemplateError(`${what} must be an integer, not ${typeName(value)}`);
  return Number(value);
}

/** @throws TemplateError naming `what` when the value is no number. */
export function requireNumber(what: string, value: Value): number {
  const number = numberOf(value);
  if (number === null) throw new TemplateError(`${what} must be a number, not ${typeName(value)}`);
  return number;
}
