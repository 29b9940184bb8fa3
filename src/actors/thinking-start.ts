/** Where the reasoning stands when the output begins: a constraint leaves it free. */
import type { Prompt } from '../core/generation.ts';
import type { ReasoningParserFactory } from '../text/reasoning/reasoning-parser.ts';
import type { ThinkingStart } from './output-constraint.ts';
import type { RenderedPrompt } from './prepare-request.ts';

/**
 * Some templates open the reasoning in the prompt, with others the model does that itself. It may where the prompt is the one that
 * `enable_thinking` gives: a prompt without thinking looks different.
 */
export function thinkingStart(
  prompt: Prompt,
  { newParser, renderedPrompt }: { readonly newParser: ReasoningParserFactory; readonly renderedPrompt: string },
  render: (prompt: Prompt) => RenderedPrompt,
): ThinkingStart {
  const parser = newParser(renderedPrompt);
  if (parser.isReasoning) return 'open';
  if (prompt.type !== 'chat' || prompt.templateKwargs.enable_thinking === false) return 'none';
  parser.push('<think>');
  if (!parser.isReasoning) return 'none';
  const thinking = render({ ...prompt, templateKwargs: { ...prompt.templateKwargs, enable_thinking: true } });
  return thinking.type === 'text' && thinking.text === renderedPrompt ? 'possible' : 'none';
}
