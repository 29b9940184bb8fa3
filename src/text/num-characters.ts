/** Python's `len`: code points, not UTF-16 units. */
export function numCharacters(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}
