/** A template that cannot be parsed, uses something unsupported, or fails while it runs. chat-template.ts turns it into a TroupeError. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';
}
