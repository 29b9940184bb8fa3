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

export class Template {
  readonly #body: Body;

  /** @throws TemplateError naming the line where the source cannot be read. */
  constructor(source: string) {
    this.#body = parse(source);
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
      return render(this.#body, scope);
    } catch (error) {
      if (error instanceof RangeError) throw new TemplateError('the template recurses too deeply or writes too much', { cause: error });
      throw error;
    }
  }
}
