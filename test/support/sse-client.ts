/** Server-sent events, read as raw text: what a client without a library sees. */

export interface SseText {
  /** `data:` payloads in order, `[DONE]` included. */
  readonly data: readonly string[];
  /** Comment lines, without the colon. */
  readonly comments: readonly string[];
}

/** @throws when the text is not a sequence of complete events with nothing but data and comments. */
export function parseSse(text: string): SseText {
  const data: string[] = [];
  const comments: string[] = [];
  if (text !== '' && !text.endsWith('\n\n')) throw new Error(`The event stream ends inside an event: …${text.slice(-80)}`);
  for (const event of text.split('\n\n').slice(0, -1)) {
    if (event.startsWith('data: ') && !event.includes('\n')) data.push(event.slice('data: '.length));
    else if (event.startsWith(':')) comments.push(event.slice(1).trim());
    else throw new Error(`Not an event of ours: ${event}`);
  }
  return { data, comments };
}

/** The JSON chunks of a stream that ended with `[DONE]`. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into replies of several shapes
export function parseChunks(text: string): any[] {
  const { data } = parseSse(text);
  if (data.at(-1) !== '[DONE]') throw new Error(`The last event is not [DONE]: ${data.at(-1)}`);
  return data.slice(0, -1).map((json) => JSON.parse(json));
}
