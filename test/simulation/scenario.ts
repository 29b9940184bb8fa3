/** What happens in a run, drawn from its seed before it begins: the service's shape, the weather, the clients, the faults. Plain data. */
import type { GenerateRequest } from '../../src/core/generation.ts';
import { generateRequest } from '../support/generate.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { type EngineSizes, POISON_TOKEN } from './engine-role.ts';
import type { Weather } from './network.ts';

export interface Client {
  readonly atMs: number;
  /** The frontend it talks to. */
  readonly frontend: string;
  readonly request: GenerateRequest;
  /** Milliseconds between two reads; 0 = reads at once. */
  readonly readEveryMs: number;
  /** It leaves when it has so many tokens of its first choice, or so long after its start. */
  readonly leavesAfterTokens: number | null;
  readonly leavesAfterMs: number | null;
  readonly isPoison: boolean;
}

export type Fault = { readonly atMs: number } & (
  | { readonly type: 'kill' | 'replace' | 'rankFails'; readonly name: string }
  | { readonly type: 'freeze' | 'disconnect'; readonly name: string; readonly forMs: number }
  /** Nothing gets from one to the other; in both directions unless `isOneWay`. */
  | { readonly type: 'cut'; readonly from: string; readonly to: string; readonly isOneWay: boolean; readonly forMs: number }
  | { readonly type: 'storm'; readonly weather: Weather; readonly forMs: number }
  | { readonly type: 'wallClock'; readonly name: string; readonly byMs: number }
);

export interface Scenario {
  readonly seed: number;
  readonly engines: readonly string[];
  readonly frontends: readonly string[];
  readonly engine: EngineSizes;
  readonly weather: Weather;
  readonly clients: readonly Client[];
  readonly faults: readonly Fault[];
}

/** Faults that end a process, per process: the supervisor's budget is five. */
const MAX_ENDS = 4;

class Draw {
  readonly #source;
  constructor(seed: number) {
    this.#source = seededRandom(seed);
  }
  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.#source.below(high - low + 1);
  }
  chance(percent: number): boolean {
    return this.#source.below(100) < percent;
  }
  oneOf<T>(items: readonly T[]): T {
    return items[this.#source.below(items.length)]!;
  }
}

export function scenarioOf(seed: number): Scenario {
  const draw = new Draw(seed * 8);
  const engines = names('engine', draw.between(1, 4));
  const frontends = names('frontend', draw.between(1, 3));
  const horizonMs = draw.between(2000, 12_000);
  const maxNumSeqs = draw.between(2, 8);
  return {
    seed,
    engines,
    frontends,
    engine: {
      maxNumSeqs,
      maxNumBatchedTokens: draw.between(8, 64),
      // At least what the longest sequence needs, so that some runs preempt.
      numBlocks: draw.between(40, 200),
      maxNumWaiting: draw.chance(20) ? draw.between(1, 4) : 1000,
      stepMs: draw.between(5, 60),
      loadMs: draw.between(50, 1500),
    },
    weather: weatherOf(draw, draw.oneOf([0, 0, 1, 5, 15])),
    clients: Array.from({ length: draw.between(8, 24) }, (_, i) => clientOf(draw, i, frontends, horizonMs)),
    faults: faultsOf(draw, engines, frontends, horizonMs),
  };
}

const names = (role: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${role}-${i}`);

function weatherOf(draw: Draw, lossPercent: number): Weather {
  const minDelayMs = draw.between(0, 2);
  return {
    lossRate: lossPercent / 100,
    duplicateRate: draw.oneOf([0, 0, 0.02, 0.1]),
    minDelayMs,
    maxDelayMs: minDelayMs + draw.oneOf([0, 1, 20, 100]),
    tellsDeaths: draw.chance(70),
  };
}

function clientOf(draw: Draw, i: number, frontends: readonly string[], horizonMs: number): Client {
  const isPoison = draw.chance(0);
  const length = draw.between(1, 40);
  const shared = draw.between(0, 2); // prompts with common beginnings, for the prefix cache
  const tokenIds = Array.from({ length }, (_, j) => 11 + ((shared * 31 + j * 7) % 90));
  if (isPoison) tokenIds.push(POISON_TOKEN);
  const request = {
    requestId: `request-${i}`,
    prompt: { type: 'tokens', tokenIds },
    n: draw.chance(25) ? draw.between(2, 4) : 1,
    sampling: {
      temperature: draw.oneOf([0, 0.7, 1]),
      maxTokens: draw.between(1, 60),
      ...(draw.chance(20) && { logprobs: draw.between(0, 2) }),
      ...(draw.chance(15) && { repetitionPenalty: 1.1 }),
      ...(draw.chance(15) && { frequencyPenalty: 0.5 }),
    },
    seed: BigInt(draw.between(0, 1_000_000)),
    stop: draw.chance(30) ? [draw.oneOf(['a', 'e', '1', 'Q', 'zz'])] : [],
    ignoreEos: draw.chance(50),
    priority: draw.between(-1, 1),
    ...(draw.chance(20) && { timeoutMs: draw.between(300, 15_000) }),
  } as const;
  const leaves = draw.chance(20);
  return {
    atMs: draw.between(0, horizonMs),
    frontend: draw.oneOf(frontends),
    request: generateRequest(request),
    readEveryMs: draw.chance(15) ? draw.between(20, 800) : 0,
    leavesAfterTokens: leaves && draw.chance(50) ? draw.between(0, 20) : null,
    leavesAfterMs: leaves ? draw.between(0, 4000) : null,
    isPoison,
  };
}

function faultsOf(draw: Draw, engines: readonly string[], frontends: readonly string[], horizonMs: number): Fault[] {
  const all = [...engines, ...frontends];
  const ends = new Map<string, number>();
  const faults: Fault[] = [];
  for (let left = draw.between(0, 7); left > 0; left--) {
    const atMs = draw.between(0, horizonMs);
    const forMs = draw.oneOf([draw.between(50, 1000), draw.between(1000, 4000), draw.between(4000, 12_000)]);
    const name = draw.chance(70) ? draw.oneOf(engines) : draw.oneOf(frontends);
    const kind = draw.between(0, 99);
    const numEnds = ends.get(name) ?? 0;
    if (kind < 45) {
      if (numEnds >= MAX_ENDS) continue;
      ends.set(name, numEnds + 1);
      const type = kind < 25 ? 'kill' : kind < 38 || name.startsWith('frontend') ? 'replace' : 'rankFails';
      faults.push({ atMs, type, name });
    } else if (kind < 60) faults.push({ atMs, type: 'freeze', name, forMs });
    else if (kind < 70) faults.push({ atMs, type: 'disconnect', name, forMs });
    else if (kind < 88) faults.push({ atMs, type: 'cut', from: name, to: draw.oneOf(all), isOneWay: draw.chance(40), forMs });
    else if (kind < 94) faults.push({ atMs, type: 'storm', weather: weatherOf(draw, draw.between(5, 30)), forMs });
    else faults.push({ atMs, type: 'wallClock', name, byMs: draw.oneOf([-3_600_000, 3_600_000]) });
  }
  return faults.sort((a, b) => a.atMs - b.atMs);
}
