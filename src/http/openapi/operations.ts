/** What /openapi.json says about each route; one that is missing here is listed without details. */
import type { z } from 'zod';
import { embeddingSchema } from '../embeddings.ts';
import { countTokensSchema, messagesSchema } from '../messages/schema.ts';
import { chatSchema, completionSchema } from '../openai-schema.ts';
import { abortSchema, pauseSchema } from '../operations.ts';
import { responsesSchema } from '../responses/schema.ts';
import { rewardSchema } from '../reward.ts';
import { detokenizeSchema, tokenizeSchema } from '../tokenize.ts';
import type { JsonSchema } from './request-schema.ts';

export interface Operation {
  readonly tag: 'Generation' | 'Models' | 'Tokens' | 'Operation' | 'Health';
  readonly summary: string;
  readonly body?: {
    readonly schema: z.ZodType;
    /** Fields that take more than zod says. */
    readonly fields?: Readonly<Record<string, JsonSchema>>;
    readonly example: Readonly<Record<string, unknown>>;
  };
  /** Answers with server-sent events when the body says `stream`. */
  readonly streams?: boolean;
  /** The media type of the reply, if not JSON. */
  readonly reply?: string;
}

const tokenId = { type: 'integer', minimum: 0, maximum: 2 ** 31 - 1 };
const tokenIds = { type: 'array', items: tokenId, minItems: 1 };
const promptForms = {
  anyOf: [
    { type: 'string' },
    { type: 'array', items: { type: 'string' }, minItems: 1 },
    tokenIds,
    { type: 'array', items: tokenIds, minItems: 1 },
  ],
};
const stop = { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string', maxLength: 1024 }, maxItems: 16 }] };
const messages = {
  anyOf: [{ type: 'array', items: { $ref: '#/components/schemas/Message' }, minItems: 1 }, tokenIds],
};
const hello = [{ role: 'user', content: 'Hello!' }];

const tokenize: Operation = {
  tag: 'Tokens',
  summary: 'Token ids of a text or a conversation',
  body: { schema: tokenizeSchema, fields: { messages }, example: { prompt: 'Hello!' } },
};
const detokenize: Operation = {
  tag: 'Tokens',
  summary: 'Text of token ids',
  body: { schema: detokenizeSchema, example: { tokens: [1, 2, 3] } },
};

/** What a handler answers below its `*` that is no path of the route table: the ends of these paths. */
export const SUBPATHS: Readonly<Record<string, readonly string[]>> = {
  'GET /v1/responses/*': ['', '/input_items'],
  'POST /v1/responses/*': ['/cancel'],
};

/** `METHOD path` → operation, with the path as the route table spells it. */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
  'POST /v1/chat/completions': {
    tag: 'Generation',
    summary: 'Chat completion (OpenAI)',
    streams: true,
    body: { schema: chatSchema, fields: { messages, stop }, example: { messages: hello, max_tokens: 32 } },
  },
  'POST /v1/completions': {
    tag: 'Generation',
    summary: 'Text completion (OpenAI)',
    streams: true,
    body: {
      schema: completionSchema,
      fields: { prompt: promptForms, prompt_token_ids: { anyOf: [tokenIds, { type: 'array', items: tokenIds, minItems: 1 }] }, stop },
      example: { prompt: 'Once upon a time', max_tokens: 32 },
    },
  },
  'POST /v1/responses': {
    tag: 'Generation',
    summary: 'Response (OpenAI)',
    streams: true,
    body: { schema: responsesSchema, example: { input: 'Hello!', max_output_tokens: 32 } },
  },
  'GET /v1/responses/*': { tag: 'Generation', summary: 'A stored response' },
  'DELETE /v1/responses/*': { tag: 'Generation', summary: 'Forgets a stored response' },
  'GET /v1/responses/*/input_items': { tag: 'Generation', summary: 'What a stored response was asked' },
  'POST /v1/responses/*/cancel': { tag: 'Generation', summary: 'Always 400: a stored response is complete' },
  'POST /v1/messages': {
    tag: 'Generation',
    summary: 'Message (Anthropic)',
    streams: true,
    body: { schema: messagesSchema, example: { messages: hello, max_tokens: 32 } },
  },
  'POST /v1/messages/count_tokens': {
    tag: 'Tokens',
    summary: 'Tokens of a message (Anthropic)',
    body: { schema: countTokensSchema, example: { messages: hello } },
  },
  'POST /v1/embeddings': {
    tag: 'Generation',
    summary: 'Embeddings (OpenAI), unless --runner generate',
    body: { schema: embeddingSchema, fields: { input: promptForms, messages }, example: { input: 'Hello!' } },
  },
  'POST /v1/reward': {
    tag: 'Generation',
    summary: 'Scores of a conversation (FastDeploy), by a model with a reward head',
    body: { schema: rewardSchema, fields: { messages }, example: { messages: hello } },
  },
  'GET /v1/models': { tag: 'Models', summary: 'The served models' },
  'GET /v1/models/*': { tag: 'Models', summary: 'One served model' },
  'POST /tokenize': tokenize,
  'POST /v1/tokenize': tokenize,
  'POST /detokenize': detokenize,
  'POST /v1/detokenize': detokenize,
  'POST /v1/abort_requests': {
    tag: 'Operation',
    summary: 'Ends running requests',
    body: { schema: abortSchema, example: { req_ids: ['chatcmpl-1'] } },
  },
  'POST /v1/pause': { tag: 'Operation', summary: 'Stops generating', body: { schema: pauseSchema, example: { mode: 'keep' } } },
  'POST /v1/resume': { tag: 'Operation', summary: 'Generates again' },
  'GET /v1/is_paused': { tag: 'Operation', summary: 'Whether the server is paused' },
  'GET /config-info': { tag: 'Operation', summary: 'The server’s settings' },
  'GET /health': { tag: 'Health', summary: 'Whether the server serves' },
  'GET /live': { tag: 'Health', summary: 'Whether this process answers' },
  'GET /ready': { tag: 'Health', summary: 'Whether to send new requests here' },
  'GET /ping': { tag: 'Health', summary: 'The same as /health' },
  'POST /ping': { tag: 'Health', summary: 'The same as /health' },
  'GET /load': { tag: 'Operation', summary: 'The API’s routes' },
  'GET /metrics': { tag: 'Operation', summary: 'Metrics for Prometheus', reply: 'text/plain' },
  'GET /version': { tag: 'Operation', summary: 'The server’s version' },
  'GET /': { tag: 'Operation', summary: 'What this server is', reply: 'text/plain' },
  'GET /openapi.json': { tag: 'Operation', summary: 'This document' },
  'GET /docs': { tag: 'Operation', summary: 'This document, to be read', reply: 'text/html' },
};
