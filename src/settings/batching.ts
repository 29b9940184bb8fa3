/** Settings of batching and KV cache. */
import { bytes, flag, integer } from '../config-fields.ts';
import { setting } from './setting.ts';

export const BATCHING = {
  schedulerMaxSize: setting({
    schema: integer(1),
    default: 1024,
    group: 'Batching and KV cache',
    value: 'REQUESTS',
    doc: 'Requests that may wait; above it 429 with Retry-After.',
  }),
  maxNumSeqs: setting({
    schema: integer(1, 4096),
    default: 32,
    group: 'Batching and KV cache',
    value: 'N',
    doc: 'Sequences that run together.',
  }),
  maxNumBatchedTokens: setting({
    schema: integer(1),
    default: 256,
    group: 'Batching and KV cache',
    value: 'TOKENS',
    doc: 'Token budget of one engine step: decodes first, prefill chunks fill the rest.',
  }),
  blockSize: setting({
    schema: integer(1, 4096),
    default: 64,
    group: 'Batching and KV cache',
    value: 'TOKENS',
    doc: 'Tokens of one KV cache block.',
  }),
  kvCacheMemoryBytes: setting({
    schema: bytes,
    default: null,
    group: 'Batching and KV cache',
    value: 'BYTES',
    doc: 'Memory for keys and values, e.g. 2GiB. Default: what maxNumSeqs full sequences need, at most half of the free memory.',
  }),
  enablePrefixCaching: setting({
    schema: flag,
    default: true,
    group: 'Batching and KV cache',
    doc: 'Reuse the KV blocks of equal prompt beginnings.',
  }),
  enableChunkedPrefill: setting({ schema: flag, default: true, group: 'Batching and KV cache', doc: 'Split long prompts over steps.' }),
} as const;
