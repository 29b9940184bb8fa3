/**
 * Deterministic finite automata over Unicode: patterns, formats, lengths and excluded names are combined here exactly, which neither a
 * context-free grammar nor the grammar compiler could do. All work is bounded; what is too large is refused.
 */
import { type CharSet, charSet } from './char-set.ts';
import { ConstraintError } from './constraint-error.ts';
import type { RegexNode } from './regex-node.ts';
import { spend } from './work-limit.ts';

type Edge = readonly [first: number, last: number, target: number];

/** State 0 is the start. From every state an accepting one can be reached (but for state 0 of an empty language). */
export interface Automaton {
  readonly states: readonly {
    readonly isAccepting: boolean;
    /** Sorted and disjoint. */
    readonly edges: readonly Edge[];
  }[];
}

const MAX_NFA_NODES = 20_000;
const MAX_STATES = 1_000;

/** @throws ConstraintError when it would have too many states. */
export function automatonOf(node: RegexNode): Automaton {
  const made = known.get(node);
  if (made) return made;
  const nfa = new Nfa();
  const end = nfa.add(node, 0);
  const automaton = determinised(nfa, end);
  known.set(node, automaton);
  return automaton;
}

const known = new WeakMap<RegexNode, Automaton>();

/** Texts that `a` and `b` both accept. */
export const bothOf = (a: Automaton, b: Automaton): Automaton => product(a, b, (x, y) => x && y, true);

/** Texts that `a` accepts and `b` does not. */
export const differenceOf = (a: Automaton, b: Automaton): Automaton => product(a, b, (x, y) => x && !y, false);

export const isEmpty = (automaton: Automaton): boolean => !automaton.states.some(({ isAccepting }) => isAccepting);

export function accepts(automaton: Automaton, text: string): boolean {
  let state = automaton.states[0]!;
  for (const char of text) {
    const code = char.codePointAt(0)!;
    const edge = state.edges.find(([first, last]) => first <= code && code <= last);
    if (!edge) return false;
    state = automaton.states[edge[2]]!;
  }
  return state.isAccepting;
}

const tooLarge = (): ConstraintError =>
  new ConstraintError(
    'A pattern or its combination with lengths, formats or other patterns is too large: fewer or shorter repeats would help',
  );

/** Thompson's construction; node 0 is the start. */
class Nfa {
  readonly free: number[][] = [[]];
  readonly edges: { readonly set: CharSet; readonly target: number }[][] = [[]];

  /** Adds `node` behind `from`. @returns where it ends. */
  add(node: RegexNode, from: number): number {
    switch (node.type) {
      case 'set': {
        const target = this.#node();
        this.edges[from]!.push({ set: node.set, target });
        return target;
      }
      case 'concat':
        return node.items.reduce((at, item) => this.add(item, at), from);
      case 'alt': {
        const end = this.#node();
        for (const item of node.items) this.free[this.add(item, this.#after(from))]!.push(end);
        return end;
      }
      case 'repeat':
        return this.#repeat(node, from);
      default:
        return node satisfies never;
    }
  }

  #repeat({ item, min, max }: RegexNode & { type: 'repeat' }, from: number): number {
    let at = this.#after(from);
    for (let count = 0; count < min; count++) at = this.add(item, at);
    if (max === null) {
      const loop = this.#after(at);
      this.free[this.add(item, loop)]!.push(loop);
      return this.#after(loop);
    }
    const end = this.#node();
    this.free[at]!.push(end);
    for (let count = min; count < max; count++) {
      at = this.add(item, this.#after(at));
      this.free[at]!.push(end);
    }
    return end;
  }

  #after(from: number): number {
    const node = this.#node();
    this.free[from]!.push(node);
    return node;
  }

  #node(): number {
    spend(1);
    if (this.free.length >= MAX_NFA_NODES) throw tooLarge();
    this.edges.push([]);
    return this.free.push([]) - 1;
  }
}

function determinised(nfa: Nfa, end: number): Automaton {
  const reach = (nodes: Iterable<number>): number[] => {
    const seen = new Set(nodes);
    for (const node of seen) for (const next of nfa.free[node]!) seen.add(next);
    spend(seen.size);
    return [...seen].sort((a, b) => a - b);
  };
  return explored(
    reach([0]),
    (nodes) => nodes.filter((node) => nfa.edges[node]!.length > 0 || node === end).join(),
    (nodes) => nodes.includes(end),
    (nodes) => {
      const edges = nodes.flatMap((node) => nfa.edges[node]!);
      return pieces(edges.map(({ set }) => set)).map(([first, last, which]) => {
        spend(which.length);
        return [first, last, reach(which.map((index) => edges[index]!.target))] as const;
      });
    },
  );
}

/** Cuts the sets at each other's borders: every piece with the indexes of the sets that hold it. */
function pieces(sets: readonly CharSet[]): (readonly [first: number, last: number, sets: readonly number[]])[] {
  const borders = [...new Set(sets.flatMap((set) => set.flatMap(([first, last]) => [first, last + 1])))].sort((a, b) => a - b);
  const holders = new Map<number, number[]>();
  const places = new Map(borders.map((border, place) => [border, place]));
  sets.forEach((set, index) => {
    for (const [first, last] of set) {
      for (let place = places.get(first)!; borders[place]! <= last; place++) {
        const held = holders.get(place);
        if (held) held.push(index);
        else holders.set(place, [index]);
      }
    }
  });
  return [...holders].sort((a, b) => a[0] - b[0]).map(([place, which]) => [borders[place]!, borders[place + 1]! - 1, which]);
}

/** With `needsBoth`, a text that one of them has lost is lost; otherwise one that `a` has lost. */
function product(a: Automaton, b: Automaton, isAccepting: (a: boolean, b: boolean) => boolean, needsBoth: boolean): Automaton {
  return explored(
    [0, 0],
    ([x, y]) => `${x},${y}`,
    ([x, y]) => isAccepting(a.states[x!]!.isAccepting, y === LOST ? false : b.states[y!]!.isAccepting),
    ([x, y]) => {
      const left = a.states[x!]!.edges;
      const right = y === LOST ? [] : b.states[y!]!.edges;
      const all = [...left, ...right];
      const targets: (readonly [number, number, readonly number[]])[] = [];
      for (const [first, last, which] of pieces(all.map(([from, to]) => charSet([from, to])))) {
        const inLeft = which.find((index) => index < left.length);
        const inRight = which.find((index) => index >= left.length);
        if (inLeft === undefined || (needsBoth && inRight === undefined)) continue;
        targets.push([first, last, [all[inLeft]![2], inRight === undefined ? LOST : all[inRight]![2]]]);
      }
      return targets;
    },
  );
}

const LOST = -1;

/** Walks from the start over everything reachable, then drops what leads nowhere and joins what is equal. */
function explored(
  start: readonly number[],
  keyOf: (state: readonly number[]) => string,
  isAccepting: (state: readonly number[]) => boolean,
  edgesOf: (state: readonly number[]) => readonly (readonly [number, number, readonly number[]])[],
): Automaton {
  spend(50);
  const ids = new Map([[keyOf(start), 0]]);
  const found = [start];
  const states: { isAccepting: boolean; edges: Edge[] }[] = [];
  for (let at = 0; at < found.length; at++) {
    if (found.length > MAX_STATES) throw tooLarge();
    spend(4);
    const edges: Edge[] = [];
    for (const [first, last, target] of edgesOf(found[at]!)) {
      const key = keyOf(target);
      let id = ids.get(key);
      if (id === undefined) {
        id = found.push(target) - 1;
        ids.set(key, id);
      }
      edges.push([first, last, id]);
    }
    spend(edges.length);
    states.push({ isAccepting: isAccepting(found[at]!), edges });
  }
  return minimised(trimmed(states));
}

function trimmed(states: readonly { isAccepting: boolean; edges: readonly Edge[] }[]): Automaton {
  const sources: number[][] = states.map(() => []);
  states.forEach(({ edges }, source) => {
    for (const [, , target] of edges) sources[target]!.push(source);
  });
  const alive = new Set(states.keys());
  alive.clear();
  states.forEach((state, index) => {
    if (state.isAccepting) alive.add(index);
  });
  for (const index of alive) for (const source of sources[index]!) alive.add(source);
  const kept = [...states.keys()].filter((index) => index === 0 || alive.has(index));
  const places = new Map(kept.map((index, place) => [index, place]));
  return {
    states: kept.map((index) => ({
      isAccepting: states[index]!.isAccepting,
      edges: states[index]!.edges.filter(([, , target]) => alive.has(target)).map(([first, last, target]) => [
        first,
        last,
        places.get(target)!,
      ]),
    })),
  };
}

/** More states than this are left as they are: refining them costs more than it saves. */
const MAX_MINIMISED = 200;

/** Moore: states fall into groups by what follows, until no group splits. */
export function minimised(automaton: Automaton): Automaton {
  const { states } = automaton;
  if (states.length > MAX_MINIMISED) return automaton;
  let groups: number[] = states.map(({ isAccepting }) => (isAccepting ? 1 : 0));
  for (let numGroups = 0; ; ) {
    const names = new Map<string, number>();
    spend(2 * states.length);
    const next = states.map(({ edges }, index) => {
      const signature = `${groups[index]}|${joined(edges.map(([first, last, target]) => [first, last, groups[target]!]))
        .map((edge) => edge.join())
        .join(';')}`;
      const known = names.get(signature);
      if (known !== undefined) return known;
      names.set(signature, names.size);
      return names.size - 1;
    });
    if (names.size === numGroups) break;
    numGroups = names.size;
    groups = next;
  }
  // Group 0 holds state 0: signatures are numbered in the order of the states.
  const merged: Automaton['states'][number][] = [];
  states.forEach(({ isAccepting, edges }, index) => {
    merged[groups[index]!] ??= { isAccepting, edges: joined(edges.map(([first, last, target]) => [first, last, groups[target]!])) };
  });
  return { states: merged };
}

/** Neighbouring ranges with the same target become one. */
function joined(edges: readonly Edge[]): Edge[] {
  const result: Edge[] = [];
  for (const edge of edges) {
    const previous = result.at(-1);
    if (previous && previous[2] === edge[2] && previous[1] + 1 === edge[0]) result[result.length - 1] = [previous[0], edge[1], edge[2]];
    else result.push(edge);
  }
  return result;
}
