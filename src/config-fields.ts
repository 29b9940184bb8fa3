/** How the values of settings are read: flags and variables give text, files give numbers and lists too. */
import { z } from 'zod';

export const integer = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  z
    .union(
      [
        z.number(),
        z
          .string()
          .regex(/^-?\d+$/, 'must be a whole number')
          .transform(Number),
      ],
      { error: 'must be a whole number' },
    )
    .pipe(z.number().int('must be a whole number').min(min, `must be at least ${min}`).max(max, `must be at most ${max}`));

export const seconds = z
  .union(
    [
      z.number(),
      z
        .string()
        .regex(/^\d+(\.\d+)?$/, 'must be a number of seconds')
        .transform(Number),
    ],
    { error: 'must be a number of seconds' },
  )
  .pipe(z.number().min(0, 'must be at least 0'));

export const secondsOrMinusOne = z.union([z.literal([-1, '-1']).transform(() => -1), seconds], 'must be a number of seconds, or -1');

export const flag = z.union([z.boolean(), z.enum(['true', 'false', '1', '0']).transform((word) => word === 'true' || word === '1')], {
  error: 'must be true or false',
});

export const text = z.string({ error: 'must be text' }).min(1, 'must not be empty');

/** A word in the subjects of the transport. */
export const clusterName = z
  .string({ error: 'must be text' })
  .regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 letters, digits, "_" or "-"');

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9, ki: 2 ** 10, mi: 2 ** 20, gi: 2 ** 30 };
export const bytes = z.union([z.number(), text], { error: 'must be a size such as 4294967296 or 4GiB' }).transform((value, context) => {
  const match = /^(\d+(?:\.\d+)?)\s*([kmg]i?)?b?$/i.exec(String(value));
  if (!match) {
    context.addIssue({ code: 'custom', message: 'must be a size such as 4294967296, 512MiB or 4GiB' });
    return z.NEVER;
  }
  return Math.floor(Number(match[1]) * (UNITS[(match[2] ?? '').toLowerCase()] ?? 1));
});

const ONE_NAME_OR_MORE = 'must be one name or more, separated by commas';
export const names = z
  .union([z.string().transform((list) => list.split(',')), z.array(text)], ONE_NAME_OR_MORE)
  .transform((list) => list.map((name) => name.trim()).filter((name) => name !== ''))
  .refine((list) => list.length > 0, ONE_NAME_OR_MORE);

/** One key or several, as text with commas or as a list; each flag that is given again adds its own. */
export const keys = z
  .union([z.string(), z.array(z.string())], 'must be one key or more')
  .transform((list) => [list].flat().flatMap((part) => part.split(',')))
  .transform((list) => list.map((key) => key.trim()).filter((key) => key !== ''))
  .refine((list) => list.length > 0, 'must be one key or more, separated by commas')
  .refine(
    (list) => list.every((key) => /^[\x21-\x7e]+$/.test(key)),
    'must hold visible ASCII characters only, as they are sent in a header',
  );

const ORIGINS = 'must be * or origins such as https://chat.example.com, separated by commas';
/** vLLM takes a JSON list here. */
export const origins = z
  .union([z.string(), z.array(z.string())], ORIGINS)
  .transform((list) => [list].flat().flatMap((part) => part.replace(/^\[|\]$/g, '').split(',')))
  .transform((list) =>
    list
      .map((origin) =>
        origin
          .trim()
          .replace(/^(["'])(.*)\1$/, '$2')
          .replace(/\/$/, ''),
      )
      .filter((origin) => origin !== ''),
  )
  .refine((list) => list.length > 0 && list.every((origin) => /^(\*|null|[a-z][a-z0-9+.-]*:\/\/[^/\s]+)$/i.test(origin)), ORIGINS);
