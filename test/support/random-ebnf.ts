/** Random grammars as trees, their EBNF, and a recogniser that knows nothing of compilers: the sets of places where a match may end. */
import type { Random } from './seeded-random.ts';

type Node =
  | { readonly type: 'text'; readonly value: string }
  | { readonly type: 'class'; readonly source: string; readonly has: (char: string) => boolean }
  | { readonly type: 'sequence' | 'choice'; readonly items: readonly Node[] }
  | { readonly type: 'repeat'; readonly item: Node; readonly min: number; readonly max: number }
  | { readonly type: 'rule'; readonly index: number };

export interface RandomGrammar {
  readonly ebnf: string;
  matches(text: string): boolean;
}

const CLASSES: readonly (readonly [source: string, pattern: RegExp])[] = [
  ['[a-f]', /[a-f]/u],
  ['[^a-z\\n]', /[^a-z\n]/u],
  ['[0-9_]', /[0-9_]/u],
  ['[é-ü]', /[é-ü]/u],
  ['[\\u4e00-\\u4e10x]', /[\u4e00-\u4e10x]/u],
  ['[^\\u00e9\\n]', /[^é\n]/u],
];
const TEXTS = ['a', 'bc', '"', 'é', '日本', '-', ' ', '\\'];

export function randomGrammar(random: Random): RandomGrammar {
  const pick = <T>(from: readonly T[]): T => from[random.below(from.length)]!;
  const numRules = 1 + random.below(4);
  // Rules name later rules only; the last may name itself behind a text.
  const node = (rule: number, depth: number): Node => {
    const kind = random.below(depth > 0 ? 8 : 4);
    if (kind < 2) return { type: 'text', value: pick(TEXTS) };
    if (kind === 2) {
      const [source, pattern] = pick(CLASSES);
      return { type: 'class', source, has: (char) => pattern.test(char) };
    }
    if (kind === 3)
      return rule + 1 < numRules ? { type: 'rule', index: rule + 1 + random.below(numRules - rule - 1) } : { type: 'text', value: 'z' };
    if (kind < 6) return { type: 'sequence', items: [node(rule, depth - 1), node(rule, depth - 1)] };
    if (kind === 6) return { type: 'choice', items: [node(rule, depth - 1), node(rule, depth - 1)] };
    const min = random.below(2);
    return { type: 'repeat', item: node(rule, depth - 1), min, max: min + 1 + random.below(2) };
  };
  const rules = Array.from({ length: numRules }, (_, rule): Node => node(rule, 3));
  const last = numRules - 1;
  const nested: Node = {
    type: 'sequence',
    items: [
      { type: 'text', value: '(' },
      { type: 'rule', index: last },
      { type: 'text', value: ')' },
    ],
  };
  rules[last] = { type: 'choice', items: [rules[last]!, nested] };
  const ebnf = rules.map((rule, index) => `${nameOf(index)} ::= ${written(rule)}`).join('\n');
  return { ebnf, matches: (text) => endsOf(rules[0]!, Array.from(text), 0, rules).has(Array.from(text).length) };
}

const nameOf = (index: number): string => (index === 0 ? 'root' : `rule_${index}`);

function written(node: Node): string {
  switch (node.type) {
    case 'text':
      return `"${node.value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
    case 'class':
      return node.source;
    case 'sequence':
      return node.items.map(written).join(' ');
    case 'choice':
      return `(${node.items.map(written).join(' | ')})`;
    case 'repeat':
      return `(${written(node.item)}){${node.min},${node.max}}`;
    case 'rule':
      return nameOf(node.index);
    default:
      return node satisfies never;
  }
}

function endsOf(node: Node, chars: readonly string[], at: number, rules: readonly Node[]): Set<number> {
  switch (node.type) {
    case 'text': {
      const wanted = Array.from(node.value);
      return new Set(wanted.every((char, index) => chars[at + index] === char) ? [at + wanted.length] : []);
    }
    case 'class':
      return new Set(chars[at] !== undefined && node.has(chars[at]) ? [at + 1] : []);
    case 'sequence':
      return node.items.reduce((places, item) => after(places, item, chars, rules), new Set([at]));
    case 'choice':
      return new Set(node.items.flatMap((item) => [...endsOf(item, chars, at, rules)]));
    case 'repeat': {
      let places = new Set([at]);
      const found = new Set<number>(node.min === 0 ? [at] : []);
      for (let count = 1; count <= node.max; count++) {
        places = after(places, node.item, chars, rules);
        if (count >= node.min) for (const place of places) found.add(place);
      }
      return found;
    }
    case 'rule':
      return endsOf(rules[node.index]!, chars, at, rules);
    default:
      return node satisfies never;
  }
}

const after = (places: ReadonlySet<number>, item: Node, chars: readonly string[], rules: readonly Node[]): Set<number> =>
  new Set([...places].flatMap((place) => [...endsOf(item, chars, place, rules)]));
