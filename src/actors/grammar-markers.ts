/**
 * Which special tokens a structural tag speaks of. A special token is no text: its name in a literal or a pattern is spelled with ordinary
 * tokens. But where a model's `</think>` or `<tool_call>` is special, a tag that begins or ends with it means that very token.
 */
const MARKER_FIELDS = ['begin', 'end', 'triggers', 'separator'];

/** Every text in the tag that may hold a marker; none when it is not JSON, which the compiler will say better. */
export function markerTexts(tag: string): string[] {
  const found: string[] = [];
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [field, inner] of Object.entries(value)) {
      if (MARKER_FIELDS.includes(field)) found.push(...[inner].flat().filter((text) => typeof text === 'string'));
      // A schema's own fields may have these names and mean something else.
      if (field !== 'json_schema') visit(inner);
    }
  };
  try {
    visit(JSON.parse(tag));
  } catch {
    return [];
  }
  return found;
}

/** Ids of the special tokens whose names occur in the texts, ascending. */
export function markersIn(texts: readonly string[], specials: ReadonlyMap<number, string>): number[] {
  return [...specials].filter(([, name]) => name !== '' && texts.some((text) => text.includes(name))).map(([id]) => id);
}
