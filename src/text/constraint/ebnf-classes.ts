/** Classes of characters in grammars that clients write: those beyond ASCII are rewritten byte by byte (utf8-ranges.ts says why). */
import { type CharRange, type CharSet, charSet, complement } from './char-set.ts';
import { oneOfInline } from './ebnf.ts';
import { spend } from './work-limit.ts';

/** Whatever this does not understand stays as it is: the compiler has better words for it. */
export function rewriteClasses(ebnf: string): string {
  spend(ebnf.length / 20);
  return ebnf.replace(STRING_COMMENT_OR_CLASS, (found) => {
    if (!found.startsWith('[')) return found;
    const set = setOf(found);
    return set === null ? found : oneOfInline(set);
  });
}

const STRING_COMMENT_OR_CLASS = /"(?:[^"\\\n]|\\.)*"|#[^\n]*|\[(?:[^\]\\\n]|\\.)*\]/gu;
const MEMBER = /\\x[0-9a-fA-F]+|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\.|[^\\]/gsu;
const CONTROLS: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11, b: 8, a: 7, 0: 0, e: 27 };

/** Null for a class that the compiler reads rightly. */
function setOf(found: string): CharSet | null {
  const isNegative = found.startsWith('[^');
  const members = found.slice(isNegative ? 2 : 1, -1).match(MEMBER) ?? [];
  const ranges: CharRange[] = [];
  for (let at = 0; at < members.length; at++) {
    const first = codeOf(members[at]!);
    const isRange = members[at + 1] === '-' && at + 2 < members.length;
    const last = isRange ? codeOf(members[at + 2]!) : first;
    if (isRange) at += 2;
    if (last < first || last > 0x10ffff) return null;
    ranges.push([first, last]);
  }
  if (ranges.every(([, last]) => last < 0x80)) return null;
  return isNegative ? complement(charSet(...ranges)) : charSet(...ranges);
}

function codeOf(member: string): number {
  if (/^\\[xuU]./.test(member)) return Number.parseInt(member.slice(2), 16);
  if (!member.startsWith('\\')) return member.codePointAt(0)!;
  return CONTROLS[member[1]!] ?? member.codePointAt(1)!;
}
