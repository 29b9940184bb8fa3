/** What actors need of a logger: pino's shape, facts first. Prompts and texts are never among the facts. */
export interface Log {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}
