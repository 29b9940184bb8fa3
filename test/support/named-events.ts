/** Server-sent events with names, as the dialects stream them. */

/** @throws when the text is anything but complete events whose name is their payload's `type`. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into events of many shapes
export function parseNamedEvents(text: string): any[] {
  if (text !== '' && !text.endsWith('\n\n')) throw new Error(`The event stream ends inside an event: …${text.slice(-80)}`);
  return text
    .split('\n\n')
    .slice(0, -1)
    .filter((event) => !event.startsWith(':'))
    .map((event) => {
      const match = /^event: ([\w.]+)\ndata: (.*)$/.exec(event);
      const payload = match && JSON.parse(match[2]!);
      if (!match || payload.type !== match[1]) throw new Error(`Not a named event: ${event}`);
      return payload;
    });
}
