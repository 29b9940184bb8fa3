/**
 * Jinja as transformers runs it for chat templates, in TypeScript. Why our own: docs/decisions/0005-jinja.md. A template either renders
 * what Python would, or fails with a TemplateError; it never renders something else.
 */
import type { Body } from './ast.ts';
import { TemplateError } from './errors.ts';
import { render, Scope } from './evaluator.ts';
import { globalScope } from './globals.ts';
import { parse } from './parser.ts';
import { fromJson } from './values.ts';
import { withWorkLimit } from './work.ts';

export interface TemplateOptions {
  /** Units of work (work.ts) that one render may do; no limit unless given. */
  readonly maxWork?: number;
}

export class Template {
  readonly #body: Body;
  readonly #maxWork: number;

  /** @throws TemplateError naming the line where the source cannot be read. */
  constructor(source: string, { maxWork = Number.POSITIVE_INFINITY }: TemplateOptions = {}) {
    this.#body = read(source);
    this.#maxWork = maxWork;
  }

  /**
   * @param variables JSON data; fields that are undefined are absent.
   * @param now what strftime_now shows
   * @throws TemplateError
   */
  render(variables: Readonly<Record<string, unknown>>, now: () => Date = () => new Date()): string {
    const scope = new Scope(globalScope(now));
    for (const [name, value] of Object.entries(variables)) if (value !== undefined) scope.set(name, fromJson(value));
    try {
      return withWorkLimit(this.#maxWork, () => render(this.#body, scope));
    } catch (error) {
      if (error instanceof RangeError) throw new TemplateError('the template recurses too deeply or writes too much', { cause: error });
      throw error;
    }
  }
}

function read(source: string): Body {
  try {
    return parse(source);
  } catch (error) {
    if (error instanceof RangeError) throw new TemplateError('the template is nested too deeply', { cause: error });
    throw error;
  }
}
