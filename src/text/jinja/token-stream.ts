/** A cursor over tokens: look, take, insist. */
import { TemplateError } from './errors.ts';
import type { Token, TokenType } from './lexer.ts';

export class TokenStream {
  readonly #tokens: readonly Token[];
  #at = 0;

  /** The last token is of type `end`. */
  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get current(): Token {
    return this.#tokens[this.#at]!;
  }

  next(): Token {
    const token = this.current;
    if (token.type !== 'end') this.#at += 1;
    return token;
  }

  isType(type: TokenType): boolean {
    return this.current.type === type;
  }

  isOperator(...symbols: readonly string[]): boolean {
    return this.current.type === 'operator' && symbols.includes(this.current.value);
  }

  isName(...names: readonly string[]): boolean {
    return this.current.type === 'name' && names.includes(this.current.value);
  }

  /** Whether the token after the current one is this name or operator. */
  isFollowedBy(type: 'name' | 'operator', value: string): boolean {
    const token = this.#tokens[this.#at + 1];
    return token?.type === type && token.value === value;
  }

  skipOperator(symbol: string): boolean {
    const isThere = this.isOperator(symbol);
    if (isThere) this.next();
    return isThere;
  }

  skipName(name: string): boolean {
    const isThere = this.isName(name);
    if (isThere) this.next();
    return isThere;
  }

  expectType(type: TokenType): Token {
    if (!this.isType(type)) throw this.unexpected(type);
    return this.next();
  }

  expectOperator(symbol: string): void {
    if (!this.skipOperator(symbol)) throw this.unexpected(`'${symbol}'`);
  }

  expectName(name: string): void {
    if (!this.skipName(name)) throw this.unexpected(`'${name}'`);
  }

  unexpected(wanted: string): TemplateError {
    const { type, value } = this.current;
    return this.error(`expected ${wanted}, got ${value === '' ? type : JSON.stringify(value)}`);
  }

  error(message: string): TemplateError {
    return new TemplateError(`line ${this.current.line}: ${message}`);
  }
}
