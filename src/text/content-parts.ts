/** Messages whose content is a list of text parts, for chat templates that know strings only. */

/**
 * Whether a chat template looks into content parts. Whoever does asks for a part's text, as an attribute or by name; `type` says nothing,
 * since it also stands in the tool definitions that templates write.
 */
export function readsParts(templateSource: string): boolean {
  return /\.text\b|['"]text['"]/.test(templateSource);
}

/** The message with its text parts as one string, joined by newlines as vLLM joins them; as it is when it has other parts or none. */
export function joinTextParts<Message extends Readonly<Record<string, unknown>>>(message: Message): Message {
  const { content } = message;
  if (!Array.isArray(content) || !content.every((part) => typeof part?.text === 'string')) return message;
  return { ...message, content: content.map((part) => part.text as string).join('\n') };
}
