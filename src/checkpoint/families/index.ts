/** The families that can be served. A new one is a file beside these and a line here. */
import { ernie45 } from './ernie4_5.ts';
import type { Family } from './family.ts';
import { llama } from './llama.ts';
import { mistral } from './mistral.ts';
import { qwen2 } from './qwen2.ts';
import { qwen3 } from './qwen3.ts';

export const FAMILIES: readonly Family[] = [ernie45, llama, mistral, qwen2, qwen3];
