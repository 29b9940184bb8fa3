/** Which whole texts a pattern allows, told without anchors: all of `every` match the text, none of `none` does. */
import { ConstraintError } from './constraint-error.ts';
import { ANY_TEXT, alt, concat, type RegexNode } from './regex-node.ts';
import { type PatternNode, parsePattern, plainNode, shortened } from './regex-parser.ts';

export interface Language {
  readonly every: readonly RegexNode[];
  readonly none: readonly RegexNode[];
}

/**
 * @param options.isWhole the pattern must match from end to end (guided_regex); otherwise somewhere, as in JSON Schema.
 * @throws ConstraintError
 */
export function languageOf(pattern: string, { isWhole }: { readonly isWhole: boolean }): Language {
  const items = flattened(parsePattern(pattern));
  let isAtStart = isWhole;
  const every: RegexNode[] = [];
  const none: RegexNode[] = [];
  let at = 0;
  for (; at < items.length; at++) {
    const item = items[at]!;
    if (item.type === 'start') isAtStart = true;
    else if (item.type === 'look' && isAtStart) (item.isNegative ? none : every).push(new Pieces(pattern).whole([item.item], false, true));
    else break;
  }
  every.push(new Pieces(pattern).whole(items.slice(at), !isAtStart, !isWhole));
  return { every, none };
}

const MAX_PIECES = 500;

class Pieces {
  #count = 0;
  readonly #pattern: string;

  constructor(pattern: string) {
    this.#pattern = pattern;
  }

  /** Anchors at the two ends say where the text begins and ends; without them anything may stand before and behind. */
  whole(nodes: readonly PatternNode[], isOpenStart: boolean, isOpenEnd: boolean): RegexNode {
    if (++this.#count > MAX_PIECES) throw this.#refused('too many alternatives with anchors');
    const items = nodes.flatMap(flattened);
    while (items[0]?.type === 'start') {
      isOpenStart = false;
      items.shift();
    }
    while (items.at(-1)?.type === 'end') {
      isOpenEnd = false;
      items.pop();
    }
    const [first, last] = [items[0], items.at(-1)];
    if (first?.type === 'alt' && hasAnchor(first)) {
      return alt(...first.items.map((item) => this.whole([item, ...items.slice(1)], isOpenStart, isOpenEnd)));
    }
    if (last?.type === 'alt' && hasAnchor(last)) {
      return alt(...last.items.map((item) => this.whole([...items.slice(0, -1), item], isOpenStart, isOpenEnd)));
    }
    const plain = items.map((item) => {
      const node = plainNode(item);
      if (node === null) throw this.#refused('an anchor or a look-ahead in its middle, which is not supported');
      return node;
    });
    return concat(...(isOpenStart ? [ANY_TEXT] : []), ...plain, ...(isOpenEnd ? [ANY_TEXT] : []));
  }

  #refused(what: string): ConstraintError {
    return new ConstraintError(`The pattern ${shortened(this.#pattern)} has ${what}.`);
  }
}

const flattened = (node: PatternNode): PatternNode[] => (node.type === 'concat' ? node.items.flatMap(flattened) : [node]);

function hasAnchor(node: PatternNode): boolean {
  if (node.type === 'set') return false;
  if (node.type === 'repeat') return hasAnchor(node.item);
  if (node.type === 'concat' || node.type === 'alt') return node.items.some(hasAnchor);
  return true;
}
