/** Random regular expressions that JavaScript and troupe read alike. */
import type { Random } from './seeded-random.ts';

const ATOMS = [
  '[a-z]',
  '[A-Z]',
  '\\d',
  '[0-9a-f]',
  'abc',
  'x',
  '-',
  '\\.',
  '[^"\\\\]',
  ' ',
  '"',
  '\\\\',
  'é',
  '日本',
  '[а-я]',
  '\\w',
  '(?:yes|no)',
  '[^a-z\\n]',
];
const COUNTS = ['', '', '', '', '?', '?', '{2}', '{2}?', '{1,3}', '{1,3}', '{0,4}', '{0,4}', '+?'];

export function randomPattern(random: Random, depth = 2): string {
  const pick = <T>(from: readonly T[]): T => from[random.below(from.length)]!;
  const atom = () => (depth > 0 && random.below(4) === 0 ? `(${randomPattern(random, depth - 1)})` : pick(ATOMS));
  const counted = () => {
    const item = atom();
    const isOneItem = item.startsWith('(') || item.startsWith('[') || Array.from(item).length === 1 || /^\\.$/.test(item);
    return isOneItem ? item + pick(COUNTS) : item;
  };
  const sequence = () => Array.from({ length: 1 + random.below(4) }, counted).join('');
  return Array.from({ length: 1 + (random.below(4) === 0 ? 1 + random.below(2) : 0) }, sequence).join('|');
}
