/** From the limits a request names for its reasoning and its answer to token ids, as the engine needs them. */
import type { GenerateRequest } from '../core/generation.ts';
import type { ThinkingLimits } from '../core/sampling-params.ts';
import type { ReasoningDialect } from '../text/reasoning/reasoning-parser.ts';

const OPEN = '<think>';
const CLOSE = '</think>';

interface Encoder {
  encode(text: string): readonly number[];
}

/**
 * Null when the request has no such limits, or the model's reasoning has no markers that could be forced: it then does not think.
 * A constraint knows what follows the marker, so only the marker itself is forced before one.
 */
export function thinkingLimits(
  request: GenerateRequest,
  dialect: ReasoningDialect | null,
  promptText: () => string,
  { tokenizer, isConstrained }: { readonly tokenizer: Encoder; readonly isConstrained: boolean },
): ThinkingLimits | null {
  const { reasoningMaxTokens = null, responseMaxTokens = null } = request;
  if (reasoningMaxTokens === null && responseMaxTokens === null) return null;
  const canThink = dialect?.markers.includes(CLOSE) === true;
  return {
    isOpen: canThink && dialect.newParser(promptText()).isReasoning,
    startIds: canThink ? tokenizer.encode(OPEN) : [],
    endIds: canThink ? tokenizer.encode(CLOSE) : [],
    maxTokens: reasoningMaxTokens,
    forcedIds: canThink ? tokenizer.encode(isConstrained ? CLOSE : `\n${CLOSE}\n\n`) : [],
    maxAnswerTokens: responseMaxTokens,
  };
}
