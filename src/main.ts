/** The command line: which role to play, and how mistakes are told. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { batch } from './batch/batch-command.ts';
import { type BatchOptions, readBatchOptions } from './batch/batch-options.ts';
import { type CommandLine, readConfig } from './config-sources.ts';
import { StartupError } from './core/errors.ts';
import { helpText, printConfig } from './help.ts';
import { serve } from './runtime.ts';

const projectRoot = join(fileURLToPath(new URL('.', import.meta.url)), '..');
const version = (JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string }).version;

/**
 * Runs a command and ends the process when it is over: 0 after an orderly stop, 1 when the server gave up, 2 for anything that the
 * caller can mend (one line on stderr says what).
 */
export async function main(args: readonly string[]): Promise<void> {
  try {
    const { options, rest } = args[0] === 'run-batch' ? readBatchOptions(args.slice(1)) : { options: null, rest: args };
    const commandLine = readConfig({ args: rest, env: process.env, defaultFile: join(projectRoot, 'config', 'default.yaml') });
    process.exit(await run(commandLine, options));
  } catch (error) {
    if (!(error instanceof StartupError)) throw error;
    process.stderr.write(`troupe: ${error.message}\n`);
    process.exit(2);
  }
}

async function run(commandLine: CommandLine, batchOptions: BatchOptions | null): Promise<number> {
  const config = withModel(commandLine);
  switch (commandLine.action) {
    case 'help':
      process.stdout.write(helpText(version));
      return 0;
    case 'version':
      process.stdout.write(`${version}\n`);
      return 0;
    case 'print-config':
      process.stdout.write(`${printConfig(config)}\n`);
      return 0;
    case 'run': {
      const server = { config, version, embeddedModel: join(projectRoot, 'models', 'troupe-mini'), warnings: commandLine.warnings };
      return batchOptions ? await batch(batchOptions, server) : await serve(server);
    }
  }
}

/** `troupe`, `troupe serve` and `troupe serve DIR`. */
function withModel({ config, positionals }: CommandLine): CommandLine['config'] {
  const [command = 'serve', model, ...rest] = positionals;
  if (command !== 'serve') throw new StartupError(`Unknown command "${command}". Did you mean "troupe serve ${command}"? See --help.`);
  if (rest.length > 0) throw new StartupError(`troupe serve takes one model, but "${rest[0]}" was given too. See --help.`);
  return model === undefined ? config : { ...config, model };
}
