/** `--tool-parser-plugin FILE`: an ES module whose default export is one tool parser, or a list of them (docs/tools.md has an example). */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { StartupError } from './core/errors.ts';
import { guardedParser } from './text/tools/guarded-parser.ts';
import type { CallSyntax, ToolDialect, ToolParser } from './text/tools/tool-parser.ts';

const functionSchema = <Type>() => z.custom<Type>((value) => typeof value === 'function', 'must be a function');
const dialectSchema = z.object({
  name: z.string({ error: 'must be text' }).min(1, 'must not be empty'),
  markers: z.array(z.string().min(1)).default([]),
  newParser: functionSchema<ToolDialect['newParser']>(),
  syntax: functionSchema<(templateSource: string) => CallSyntax>().optional(),
});
const exportSchema = z.union([dialectSchema.transform((one) => [one]), z.array(dialectSchema).min(1)]);

/**
 * @param onError hears when a parser of the file fails while it reads a reply.
 * @throws StartupError, one line, when the file cannot be loaded or exports no parser.
 */
export async function loadToolParserPlugin(file: string, onError: (message: string, error: unknown) => void): Promise<ToolDialect[]> {
  const path = resolve(file);
  let exported: unknown;
  try {
    exported = ((await import(pathToFileURL(path).href)) as { default?: unknown }).default;
  } catch (error) {
    throw new StartupError(`--tool-parser-plugin ${file}: cannot be loaded: ${firstLine(error)}`, { cause: error });
  }
  const parsed = exportSchema.safeParse(exported);
  if (!parsed.success) {
    throw new StartupError(
      `--tool-parser-plugin ${file}: the default export must be a parser {name, newParser} or a list of them (docs/tools.md).`,
    );
  }
  return parsed.data.map(({ name, markers, newParser, syntax }) => ({
    name,
    markers,
    newParser: (tools) =>
      guardedParser(
        lazyParser(() => newParser(tools)),
        (error) => onError(`tool parser ${name} failed: ${firstLine(error)}`, error),
      ),
    ...(syntax && { syntax }),
  }));
}

/** Made at the first text, where the guard catches what it throws. */
function lazyParser(make: () => ToolParser): ToolParser {
  let parser: ToolParser | null = null;
  const made = (): ToolParser => {
    parser ??= make();
    return parser;
  };
  return { push: (text) => made().push(text), flush: () => made().flush() };
}

const firstLine = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]!;
