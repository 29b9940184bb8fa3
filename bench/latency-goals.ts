/** `--goodput "ttft:200 tpot:50 e2el:2000"`: the limits in milliseconds that a request must keep to count. */
import { type Flag, UsageError } from './flags.ts';
import type { LatencyGoal } from './request-metrics.ts';

export const latencyGoals: Flag<readonly LatencyGoal[]> = {
  placeholder: '"ttft:MS tpot:MS e2el:MS"',
  fallback: [],
  help: 'Count requests that keep all of these limits (request goodput).',
  parse: (text) =>
    text
      .split(/[\s,]+/)
      .filter((word) => word !== '')
      .map(parseGoal),
};

function parseGoal(word: string): LatencyGoal {
  const [metric, limit = ''] = word.split(':');
  const limitMs = Number(limit);
  if ((metric !== 'ttft' && metric !== 'tpot' && metric !== 'e2el') || limit === '' || !(limitMs >= 0)) {
    throw new UsageError(`"${word}" is not a goal such as ttft:200, tpot:50 or e2el:2000 (milliseconds).`);
  }
  return { metric, limitMs };
}
