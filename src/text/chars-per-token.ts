/**
 * How much text one token can stand for, from a tokenizer.json: a text longer than that many times the context cannot fit, which is known
 * before it is encoded.
 */

type Step = { readonly type: string; readonly [field: string]: unknown };

export interface LengthFacts {
  readonly normalizer?: Step | null;
  readonly pre_tokenizer?: Step | null;
  readonly truncation?: unknown;
  readonly model: {
    readonly vocab: Readonly<Record<string, number>> | readonly (readonly [string, number])[];
    readonly byte_fallback?: boolean;
  };
  readonly added_tokens?: readonly { readonly content: string; readonly lstrip?: boolean; readonly rstrip?: boolean }[];
}

/**
 * The most UTF-16 units of a text that become a single token. Infinity for a tokenizer that may drop text: an unknown normaliser, removed
 * whitespace, a vocabulary that does not cover every byte, so that a run of unknown characters is one token.
 */
export function maxCharsPerToken(description: LengthFacts): number {
  const added = description.added_tokens ?? [];
  const takesSpaceAround = added.some((token) => token.lstrip === true || token.rstrip === true);
  if (takesSpaceAround || (description.truncation ?? null) !== null || !keepsText(description.pre_tokenizer))
    return Number.POSITIVE_INFINITY;
  const { vocab } = description.model;
  const tokens = Array.isArray(vocab) ? vocab.map(([token]) => token as string) : Object.keys(vocab);
  // ByteLevel spells a byte as one character, so that a token is never longer than its spelling: a UTF-16 unit is a byte or more.
  const coversBytes = hasStep(description.pre_tokenizer, 'ByteLevel') && new Set(tokens.filter((token) => token.length === 1)).size >= 256;
  if (!coversBytes && description.model.byte_fallback !== true) return Number.POSITIVE_INFINITY;
  let longest = 1;
  for (const token of tokens) longest = Math.max(longest, token.length);
  for (const { content } of added) longest = Math.max(longest, content.length);
  return longest * shrinkage(description.normalizer);
}

/** Composition joins at most four units (a Greek letter with three marks). */
const NFC_SHRINKAGE = 4;

/** How many units of the text a normaliser may turn into one. */
function shrinkage(step: Step | null | undefined): number {
  if (!step) return 1;
  switch (step.type) {
    case 'NFC':
      return NFC_SHRINKAGE;
    case 'Prepend':
    case 'NFD':
      return 1;
    case 'Sequence':
      return (step.normalizers as readonly Step[]).reduce((product, inner) => product * shrinkage(inner), 1);
    case 'Replace': {
      const pattern = (step.pattern as { readonly String?: string }).String;
      return pattern === undefined ? Number.POSITIVE_INFINITY : Math.max(1, pattern.length / (step.content as string).length);
    }
    default:
      return Number.POSITIVE_INFINITY;
  }
}

function keepsText(step: Step | null | undefined): boolean {
  if (!step) return true;
  if (step.type === 'Sequence') return (step.pretokenizers as readonly Step[]).every(keepsText);
  if (step.type === 'Split' || step.type === 'Punctuation') return step.behavior !== 'Removed';
  return step.type === 'ByteLevel' || step.type === 'Digits' || step.type === 'Metaspace';
}

function hasStep(step: Step | null | undefined, type: string): boolean {
  return (
    step?.type === type || (step?.type === 'Sequence' && (step.pretokenizers as readonly Step[]).some((inner) => hasStep(inner, type)))
  );
}
