/**
 * A byte-level BPE tokenizer of any vocabulary size without training: three control tokens, the 256 bytes, then filler words
 * that no text encodes to (there are no merges) and that decode to readable text when a random model samples them.
 */

export const CONTROL_TOKENS = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'] as const;
export const END_OF_TEXT_ID = 0;
export const END_OF_TURN_ID = 2;
const NUM_BYTES = 256;
const FIRST_FILLER_ID = CONTROL_TOKENS.length + NUM_BYTES;

export const CHAT_TEMPLATE = [
  "{%- for message in messages -%}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}{%- endfor -%}",
  "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}",
].join('\n');

/** The tokens by id. @throws RangeError when the bytes and control tokens alone do not fit. */
export function fillerVocabulary(vocabSize: number): readonly string[] {
  if (vocabSize < FIRST_FILLER_ID)
    throw new RangeError(`A byte-level vocabulary needs at least ${FIRST_FILLER_ID} tokens, not ${vocabSize}.`);
  const fillers = Array.from({ length: vocabSize - FIRST_FILLER_ID }, (_, index) => `Ġw${index.toString(36)}`);
  return [...CONTROL_TOKENS, ...byteAlphabet(), ...fillers];
}

/** The contents of `tokenizer.json`. */
export function fillerTokenizer(vocabSize: number): object {
  const vocabulary = fillerVocabulary(vocabSize);
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: CONTROL_TOKENS.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
      merges: [],
    },
  };
}

/** One printable character for each byte, as GPT-2 chose them: printable bytes stand for themselves, the others follow from U+0100. */
function byteAlphabet(): string[] {
  const isPrintable = (byte: number) => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 0x100;
  return Array.from({ length: NUM_BYTES }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
}
