/** Entry of the constraint thread: what a request asks for in, its format out. */
import { parentPort } from 'node:worker_threads';
import { TroupeError } from '../core/errors.ts';
import type { ConstraintSpec } from '../core/generation.ts';
import { constraintFormat } from '../text/constraint/constraint-format.ts';
import { stepBack } from './background-thread.ts';
import type { FormatResult } from './constraint-thread.ts';

stepBack();
parentPort?.on('message', (spec: ConstraintSpec) => parentPort?.postMessage(made(spec)));

function made(spec: ConstraintSpec): FormatResult {
  try {
    return { format: constraintFormat(spec) };
  } catch (error) {
    if (error instanceof TroupeError) return { refusal: error.message, param: spec.param };
    return { failure: String(error) };
  }
}
