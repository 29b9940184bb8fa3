/** `x | name`: all filters by name. */
import { TemplateError } from './errors.ts';
import type { Filter } from './filter.ts';
import { SCALAR_FILTERS } from './scalar-filters.ts';
import { SEQUENCE_FILTERS } from './sequence-filters.ts';
import { type Arguments, textOf, type Value } from './values.ts';
import { spend, spendText } from './work.ts';

/** @throws TemplateError for an unknown filter, or what the filter refuses. */
export function applyFilter(name: string, value: Value, args: Arguments): Value {
  return filterNamed(name)(value, args, filterNamed);
}

function filterNamed(name: string): Filter {
  const filter = SCALAR_FILTERS.get(name) ?? SEQUENCE_FILTERS.get(name);
  if (filter === undefined) throw new TemplateError(`the filter '${name}' is unknown or not supported`);
  return (value, args, named) => {
    spend(1);
    spendText(4 * (textOf(value)?.length ?? 0));
    return filter(value, args, named);
  };
}
