/** The command line: which role to play, and how mistakes are told. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { batch } from './batch/batch-command.ts';
import { type BatchOptions, readBatchOptions } from './batch/batch-options.ts';
import type { Config } from './config.ts';
import { type CommandLine, readConfig } from './config-sources.ts';
import { StartupError } from './core/errors.ts';
import { drain } from './drain-command.ts';
import { helpText, printConfig } from './help.ts';
import type { Command } from './preflight.ts';
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
  if (commandLine.action === 'run' && commandLine.positionals[0] === 'drain')
    return drain(drainedName(commandLine), commandLine.config, printLine);
  const { command, config } = withModel(commandLine);
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
      const server = {
        command,
        config,
        version,
        embeddedModel: join(projectRoot, 'models', 'troupe-mini'),
        warnings: commandLine.warnings,
      };
      return batchOptions ? await batch(batchOptions, server) : await serve(server);
    }
  }
}

/** `troupe`, `troupe serve`, `troupe serve DIR`; the same with `engine` and `frontend`. */
function withModel({ config, positionals }: CommandLine): { readonly command: Command; readonly config: Config } {
  const [given = 'serve', model, ...rest] = positionals;
  const command = COMMANDS.find((name) => name === given);
  if (!command) throw new StartupError(`Unknown command "${given}". Did you mean "troupe serve ${given}"? See --help.`);
  if (rest.length > 0) throw new StartupError(`troupe ${command} takes one model, but "${rest[0]}" was given too. See --help.`);
  if (command !== 'serve' && config.nats === null)
    throw new StartupError(`troupe ${command} needs the NATS servers where it finds the others: give them with --nats nats://HOST:PORT.`);
  return { command, config: model === undefined ? config : { ...config, model } };
}

function drainedName({ positionals }: CommandLine): string {
  const [, name, ...rest] = positionals;
  if (name === undefined || rest.length > 0)
    throw new StartupError('troupe drain takes one name: of an engine, a frontend or a node. See --help.');
  return name;
}

const printLine = (line: string): void => void process.stdout.write(`${line}\n`);

const COMMANDS: readonly Command[] = ['serve', 'engine', 'frontend'];
