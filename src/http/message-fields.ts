/** What the model is asked: messages, or prompts as text or token ids. */
import { z } from 'zod';
import type { ChatMessage } from '../core/generation.ts';
import { atMost, FIELD_REQUIRED, text, tokenIds } from './schema-fields.ts';

/** A list that is walked on the thread that serves everyone. */
const MAX_MESSAGES = 16_384;

const textPart = z.looseObject({ type: z.literal('text', 'Only parts of type "text" are supported by this model'), text });
const message = z.looseObject(
  {
    role: text.min(1, 'String should have at least 1 character'),
    content: z
      .unknown()
      .superRefine((content, context) => {
        if (content === null || typeof content === 'string') return;
        const parts = Array.isArray(content) ? z.array(textPart).safeParse(content) : null;
        if (!parts) context.addIssue({ code: 'custom', message: 'Input should be a valid string or a list of parts' });
        for (const issue of parts?.error?.issues ?? []) context.addIssue({ code: 'custom', message: issue.message, path: issue.path });
      })
      .optional(),
  },
  'Input should be a valid dictionary',
);

/** A list of messages, or the prompt's token ids. */
export const messages = z.array(z.unknown(), 'Input should be a valid list').transform((list, context) => {
  const isTokenIds = list.length > 0 && list.every((item) => typeof item === 'number');
  const parsed = isTokenIds ? tokenIds.safeParse(list) : atMost(MAX_MESSAGES, z.array(message)).safeParse(list);
  for (const issue of parsed.error?.issues ?? []) {
    context.addIssue({ code: 'custom', message: isMissingField(list, issue) ? FIELD_REQUIRED : issue.message, path: issue.path });
  }
  // As they came: templates may look at any field, and at whether it is there.
  return list as readonly number[] | readonly ChatMessage[];
});

function isMissingField(list: readonly unknown[], issue: { readonly path: readonly PropertyKey[] }): boolean {
  const [index, field] = issue.path;
  const item = list[index as number];
  return issue.path.length === 2 && typeof item === 'object' && item !== null && !Object.hasOwn(item, field as string);
}

/** The text of a message's content: a string, or the texts of its parts. */
export function contentText({ content }: ChatMessage): string {
  if (typeof content === 'string') return content;
  return Array.isArray(content) ? content.map((part: { readonly text: string }) => part.text).join('') : '';
}

export interface PromptField {
  readonly value: string | readonly number[];
  /** Where it stands in the field: empty, or `[1]` in a list of prompts. */
  readonly at: string;
}

/** `"a"`, `["a", "b"]`, `[1, 2]` or `[[1, 2], [3]]`, as a list of prompts. */
export const prompts = z.unknown().transform((value, context): readonly PromptField[] => {
  const listed = (list: readonly PromptField['value'][]) => list.map((prompt, i) => ({ value: prompt, at: `[${i}]` }));
  const refuse = (problem: string, path: PropertyKey[] = []): readonly PromptField[] => {
    context.addIssue({ code: 'custom', message: problem, path });
    return [];
  };
  if (typeof value === 'string') return [{ value, at: '' }];
  if (!Array.isArray(value)) return refuse('Input should be a valid string or a valid list');
  if (value.length === 0) return refuse('List should have at least 1 item after validation, not 0');
  if (value.every((item) => typeof item === 'string')) return listed(value);
  const lists = value.every((item) => Array.isArray(item)) ? value : [value];
  for (const [i, list] of lists.entries()) {
    const isMixed = list.length > 0 && list.some((item: unknown) => typeof item !== 'number');
    if (isMixed) return refuse('If prompt is a list, each item type must be one of: str, list[int]');
    const issue = tokenIds.safeParse(list).error?.issues[0];
    if (issue) return refuse(issue.message, lists === value ? [i, ...issue.path] : [...issue.path]);
    if (list.length === 0) return refuse('List should have at least 1 item after validation, not 0', [i]);
  }
  return lists === value ? listed(value) : [{ value, at: '' }];
});
