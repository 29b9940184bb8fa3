/** POST /v1/embeddings: texts, token ids or messages in, one vector each out: the last token's hidden state, cut and normalised. */
import { z } from 'zod';
import type { ModelCard, Prompt } from '../core/generation.ts';
import { FieldError } from './error-reply.ts';
import { checkModelName, generationId } from './generate-request.ts';
import { jsonReply } from './http-message.ts';
import { prompts } from './message-fields.ts';
import { plainChatFields, plainChatPrompt } from './plain-chat-prompt.ts';
import { poolAll, poolingUsage } from './pooling-run.ts';
import { checkBody, readJsonObject } from './request-body.ts';
import type { Handler } from './routes.ts';
import { FIELD_REQUIRED, flag, integer, text } from './schema-fields.ts';
import { requirePooling, type Services } from './services.ts';

/** As OpenAI's. */
const MAX_INPUTS = 2048;

/** What pooling requests have in common. */
export const poolingFields = {
  ...plainChatFields,
  model: text.optional(),
  dimensions: integer({ min: 1 }).optional(),
  truncate_prompt_tokens: integer({ min: -1 })
    .refine((value) => value !== 0, 'Input should be -1 or greater than 0')
    .optional(),
  normalize: flag.default(true),
  user: text.optional(),
  priority: integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER }).default(0),
  request_id: text.max(256, 'String should have at most 256 characters').optional(),
};

export const embeddingSchema = z.object({
  ...poolingFields,
  input: prompts.optional(),
  encoding_format: z.enum(['float', 'base64'], 'Input should be float or base64').default('float'),
});

export function embeddings(services: Services): Handler {
  return async (http, context) => {
    requirePooling(services);
    const body = checkBody(embeddingSchema, readJsonObject(http.body, services.limits.maxBodyBytes));
    const { model } = services.generator;
    checkModelName(body.model, model);
    checkDimensions(body.dimensions, model);
    const id = generationId('embd', body);
    context.nameAfter(id);
    const { truncate_prompt_tokens: truncatePromptTokens, priority } = body;
    const results = await poolAll(services, { id, prompts: promptsOf(body), truncatePromptTokens, priority }, http, context);
    return jsonReply(200, {
      id,
      object: 'list',
      created: Math.floor(services.clock.now() / 1000),
      model: model.names[0] ?? 'default',
      data: results.map(({ hidden }, index) => {
        const vector = toEmbedding(hidden, { dimensions: body.dimensions, normalize: body.normalize });
        return { index, object: 'embedding', embedding: body.encoding_format === 'base64' ? toBase64(vector) : Array.from(vector) };
      }),
      usage: poolingUsage(results),
    });
  };
}

/** @throws FieldError */
function checkDimensions(dimensions: number | undefined, { hiddenSize }: ModelCard): void {
  if (dimensions === undefined || hiddenSize === undefined || dimensions <= hiddenSize) return;
  const message = `dimensions must not be greater than the model's hidden size, ${hiddenSize}, but it is ${dimensions}.`;
  throw new FieldError('invalid_value', message, { param: 'dimensions' });
}

/** Cut first: a shorter vector of length 1 is what Matryoshka models are trained for. */
function toEmbedding(
  hidden: Float32Array,
  { dimensions = hidden.length, normalize }: { readonly dimensions?: number | undefined; readonly normalize: boolean },
): Float32Array {
  const vector = hidden.slice(0, dimensions);
  if (!normalize) return vector;
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return length === 0 ? vector : vector.map((value) => value / length);
}

/** float32, little endian, whatever this machine's order. */
function toBase64(vector: Float32Array): string {
  const bytes = Buffer.alloc(vector.length * 4);
  for (let i = 0; i < vector.length; i++) bytes.writeFloatLE(vector[i]!, i * 4);
  return bytes.toString('base64');
}

function promptsOf(body: z.output<typeof embeddingSchema>): readonly Prompt[] {
  const chat = plainChatPrompt(body, { addGenerationPrompt: false });
  if (chat && body.input) throw new FieldError('invalid_value', 'Give either `input` or `messages`, not both.', { param: 'input' });
  if (chat) return [chat];
  if (!body.input) throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param: 'input' });
  if (body.input.length > MAX_INPUTS) {
    throw new FieldError('invalid_value', `input has ${body.input.length} items; at most ${MAX_INPUTS} are taken at once.`, {
      param: 'input',
    });
  }
  return body.input.map(({ value, at }): Prompt => {
    const param = `input${at}`;
    if (typeof value !== 'string') return { type: 'tokens', param, tokenIds: value };
    return { type: 'text', param, text: value, addSpecialTokens: body.add_special_tokens ?? true };
  });
}
