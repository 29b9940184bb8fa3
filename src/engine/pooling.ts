/** What a pooling request ends with: the hidden state of its prompt's last token. */
import { assert } from '../core/errors.ts';
import { LogitsError } from './sampler.ts';
import type { SequenceResult } from './step.ts';

/** @returns a copy, [hiddenSize]. @throws LogitsError when the model computed no numbers. */
export function pooledState(result: SequenceResult): Float32Array {
  const hidden = result.type === 'full' ? result.hidden : undefined;
  assert(hidden, `a pooling request got '${result.type}' without a hidden state`);
  const wrong = hidden.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) throw new LogitsError(`value ${wrong} of the hidden state is ${hidden[wrong]}`);
  return hidden.slice();
}
