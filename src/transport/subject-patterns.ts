/**
 * Which subjects a subscription gets. Subjects are dot-separated tokens; in a pattern `*` stands for one token and a trailing `>` for one
 * or more: NATS's rules, so that every adapter means the same.
 */
const TOKEN = /^[A-Za-z0-9_-]+$/;

/** @throws Error: our own code made a subject that no broker would take. */
export function checkSubject(subject: string): void {
  if (!subject.split('.').every((token) => TOKEN.test(token))) throw new Error(`"${subject}" is not a subject.`);
}

/** @throws Error, as above. */
export function checkPattern(pattern: string): void {
  const tokens = pattern.split('.');
  const isValid = tokens.every((token, index) => token === '*' || (token === '>' && index === tokens.length - 1) || TOKEN.test(token));
  if (!isValid) throw new Error(`"${pattern}" is not a subject or a pattern of subjects.`);
}

export function matches(pattern: string, subject: string): boolean {
  const wanted = pattern.split('.');
  const given = subject.split('.');
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === '>') return given.length > i;
    if (i >= given.length || (wanted[i] !== '*' && wanted[i] !== given[i])) return false;
  }
  return wanted.length === given.length;
}

const isWildcard = (pattern: string): boolean => pattern.includes('*') || pattern.endsWith('>');

/** Values by pattern; a subject finds those of all patterns that match it, exact ones first. */
export class PatternMap<T> {
  readonly #exact = new Map<string, T[]>();
  readonly #wildcards: { readonly pattern: string; readonly value: T }[] = [];

  add(pattern: string, value: T): void {
    if (isWildcard(pattern)) this.#wildcards.push({ pattern, value });
    else this.#exact.set(pattern, [...(this.#exact.get(pattern) ?? []), value]);
  }

  /** Removes one occurrence. */
  remove(pattern: string, value: T): void {
    if (isWildcard(pattern)) {
      const index = this.#wildcards.findIndex((entry) => entry.pattern === pattern && entry.value === value);
      if (index !== -1) this.#wildcards.splice(index, 1);
      return;
    }
    const values = this.#exact.get(pattern);
    const index = values?.indexOf(value) ?? -1;
    if (!values || index === -1) return;
    if (values.length === 1) this.#exact.delete(pattern);
    else this.#exact.set(pattern, values.toSpliced(index, 1));
  }

  /** The caller must not change the result. */
  match(subject: string): readonly T[] {
    const exact = this.#exact.get(subject) ?? [];
    if (this.#wildcards.length === 0) return exact;
    return [...exact, ...this.#wildcards.filter(({ pattern }) => matches(pattern, subject)).map(({ value }) => value)];
  }

  has(subject: string): boolean {
    return this.#exact.has(subject) || this.#wildcards.some(({ pattern }) => matches(pattern, subject));
  }

  patterns(): string[] {
    return [...this.#exact.keys(), ...this.#wildcards.map(({ pattern }) => pattern)];
  }

  clear(): void {
    this.#exact.clear();
    this.#wildcards.length = 0;
  }
}
