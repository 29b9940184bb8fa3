import type { Arguments, Value } from './values.ts';

/** `value | filter(args)`. `named` finds other filters, for `map('upper')`. */
export type Filter = (value: Value, args: Arguments, named: (name: string) => Filter) => Value;
