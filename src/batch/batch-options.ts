/** The flags of `troupe run-batch` that are its own; every other one is a setting of the server that it starts. */
import { StartupError } from '../core/errors.ts';

export interface BatchOptions {
  /** A file, or an http(s) URL to GET. */
  readonly input: string;
  /** A file, or an http(s) URL to PUT. */
  readonly output: string;
  /** Where the output of a URL is gathered; null = the system's folder for temporary files. */
  readonly temporaryDir: string | null;
}

type OwnFlag = keyof BatchOptions;
const FLAGS: Readonly<Record<string, OwnFlag>> = {
  '-i': 'input',
  '--input-file': 'input',
  '-o': 'output',
  '--output-file': 'output',
  '--output-tmp-dir': 'temporaryDir',
};

/** @returns the options, null where --help or the like asks for something else, and the flags that are not ours. */
export function readBatchOptions(args: readonly string[]): { readonly options: BatchOptions | null; readonly rest: readonly string[] } {
  const given: { -readonly [Name in OwnFlag]?: string } = {};
  const rest: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? '';
    const [flag = '', ...value] = arg.split('=');
    const name = FLAGS[flag.replaceAll('_', '-')];
    if (name === undefined) rest.push(arg);
    else given[name] = value.length > 0 ? value.join('=') : required(flag, args[++i]);
  }
  const { input, output, temporaryDir = null } = given;
  if (rest.some((arg) => ['--help', '-h', '--version', '--print-config'].includes(arg))) return { options: null, rest };
  if (input === undefined || output === undefined) {
    throw new StartupError('run-batch needs -i FILE|URL for the requests and -o FILE|URL for the replies. See --help.');
  }
  return { options: { input, output, temporaryDir }, rest };
}

function required(flag: string, value: string | undefined): string {
  if (value === undefined || value === '') throw new StartupError(`${flag} needs a file or a URL.`);
  return value;
}
