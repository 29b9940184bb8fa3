/** How much of the faults is run: `npm test` a little of each, `npm run test:faults` (ALL_FAULTS=1) all. */
import { seededRandom } from './seeded-random.ts';

export const isAll = process.env.ALL_FAULTS === '1';

/** When faults come, in tokens of each stream: two instants, or twenty random ones. */
export function instants(maxTokens = 110): number[] {
  if (!isAll) return [5, 40];
  const random = seededRandom(2026);
  return Array.from({ length: 20 }, () => 1 + random.below(maxTokens));
}
