/** Flags of the benches: typed, with a help page made from the same table; a wrong flag is one line and exit code 2. */
import { parseArgs } from 'node:util';

export interface Flag<T> {
  /** What the help page calls the value; null for a switch. */
  readonly placeholder: string | null;
  readonly fallback: T;
  readonly help: string;
  /** The value when it is acceptable. @throws UsageError otherwise. */
  parse(text: string): T;
}

export class UsageError extends Error {
  override readonly name = 'UsageError';
}

type Values<Flags extends Record<string, Flag<unknown>>> = { readonly [Name in keyof Flags]: ReturnType<Flags[Name]['parse']> };

export interface Command<Flags extends Record<string, Flag<unknown>>> {
  /** As a user types it, e.g. `npm run bench:offline --`. */
  readonly usage: string;
  /** What the bench finds out: the first lines of the help page. */
  readonly question: string;
  readonly flags: Flags;
  /** What arguments after a second `--` mean; absent = there are none. */
  readonly rest?: string;
}

/** Parses `argv`. @throws UsageError for an unknown flag or a value that does not fit; prints the help page and exits for --help. */
export function readFlags<Flags extends Record<string, Flag<unknown>>>(
  command: Command<Flags>,
  argv: readonly string[],
): { flags: Values<Flags>; rest: readonly string[] } {
  const separator = argv.indexOf('--');
  const own = separator < 0 ? argv : argv.slice(0, separator);
  const rest = separator < 0 ? [] : argv.slice(separator + 1);
  if (own.includes('--help') || own.includes('-h')) {
    process.stdout.write(helpPage(command));
    process.exit(0);
  }
  if (rest.length > 0 && command.rest === undefined) throw new UsageError(`Unexpected argument "${rest[0]}".`);
  const given = parse(command, own);
  const flags: Record<string, unknown> = {};
  for (const [name, flag] of Object.entries(command.flags)) {
    const text = given[name];
    flags[name] = text === undefined ? flag.fallback : parseValue(name, flag, text === true ? '' : text);
  }
  return { flags: flags as Values<Flags>, rest };
}

/** Runs a bench; says what was wrong in one line: exit code 2 for a wrong flag, 1 for everything else. */
export async function runBench(main: (argv: readonly string[]) => Promise<void>): Promise<void> {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}

export function text(fallback: string | null, placeholder: string, help: string): Flag<string | null> {
  return { placeholder, fallback, help, parse: (value) => value };
}

export function integer(fallback: number, help: string, minimum = 1): Flag<number> {
  return {
    placeholder: 'N',
    fallback,
    help,
    parse(value) {
      const number = Number(value);
      if (!Number.isSafeInteger(number) || value.trim() === '' || number < minimum)
        throw new UsageError(`"${value}" is not a whole number ≥ ${minimum}.`);
      return number;
    },
  };
}

/** A finite number, or `inf`. */
export function number(fallback: number, help: string, minimum = 0): Flag<number> {
  return {
    placeholder: 'X',
    fallback,
    help,
    parse(value) {
      const number = value === 'inf' ? Number.POSITIVE_INFINITY : Number(value);
      if (Number.isNaN(number) || value.trim() === '' || number < minimum) throw new UsageError(`"${value}" is not a number ≥ ${minimum}.`);
      return number;
    },
  };
}

export function oneOf<Choice extends string>(choices: readonly Choice[], fallback: Choice, help: string): Flag<Choice> {
  return {
    placeholder: choices.join('|'),
    fallback,
    help,
    parse(value) {
      const choice = choices.find((candidate) => candidate === value);
      if (choice === undefined) throw new UsageError(`"${value}" is not one of ${choices.join(', ')}.`);
      return choice;
    },
  };
}

export function toggle(help: string): Flag<boolean> {
  return { placeholder: null, fallback: false, help, parse: () => true };
}

function parseValue(name: string, flag: Flag<unknown>, value: string): unknown {
  try {
    return flag.parse(value);
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(`--${name}: ${error.message}`) : error;
  }
}

function parse(command: Command<Record<string, Flag<unknown>>>, argv: readonly string[]): Record<string, string | true | undefined> {
  const options = Object.fromEntries(
    Object.entries(command.flags).map(([name, flag]) => [name, { type: flag.placeholder === null ? 'boolean' : 'string' } as const]),
  );
  try {
    return parseArgs({ args: [...argv], options, strict: true, allowPositionals: false }).values as Record<
      string,
      string | true | undefined
    >;
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('. ')[0]}. "${command.usage} --help" lists the flags.`, { cause: error });
  }
}

function helpPage(command: Command<Record<string, Flag<unknown>>>): string {
  const lines = Object.entries(command.flags).map(([name, flag]) => {
    const left = flag.placeholder === null ? `--${name}` : `--${name} ${flag.placeholder}`;
    const fallback =
      flag.placeholder === null || flag.fallback === null
        ? ''
        : ` Default: ${flag.fallback === Number.POSITIVE_INFINITY ? 'inf' : flag.fallback}.`;
    return `  ${left}\n      ${flag.help}${fallback}`;
  });
  const rest = command.rest === undefined ? '' : `\n  -- …\n      ${command.rest}`;
  return `${command.question}\n\nUsage: ${command.usage} [flags]\n\n${lines.join('\n')}${rest}\n  --help\n`;
}
