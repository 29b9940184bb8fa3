/** Which parsers a model's output goes through: by name, or chosen by what is known of the model. */
import type { ReasoningDialect } from './reasoning/reasoning-parser.ts';
import { reasoningDialectNamed } from './reasoning/registry.ts';
import { toolDialectNamed } from './tools/registry.ts';
import type { ToolDialect } from './tools/tool-parser.ts';

/** What is known of a model when its parsers are chosen. */
export interface ModelTraits {
  /** '' without a chat template. */
  readonly templateSource: string;
  /** Whether this text is one token of the vocabulary. */
  hasToken(token: string): boolean;
  /** config.json's `model_type`; '' when it is not known. */
  readonly modelType: string;
}

/** Null = none: then everything is content. */
export interface ModelParsers {
  readonly reasoning: ReasoningDialect | null;
  readonly tools: ToolDialect | null;
}

export interface ParserNames {
  /** `auto`, `none`, or a parser's name, `_` and `-` being equal; `auto` by default. */
  readonly reasoningParser?: string;
  readonly toolCallParser?: string;
  /** Tool parsers from a plugin file. */
  readonly plugins?: readonly ToolDialect[];
}

/** @throws StartupError for an unknown name, with those there are. */
export function modelParsers(
  traits: ModelTraits,
  { reasoningParser = 'auto', toolCallParser = 'auto', plugins = [] }: ParserNames = {},
): ModelParsers {
  return { reasoning: reasoningDialectNamed(reasoningParser, traits), tools: toolDialectNamed(toolCallParser, traits, plugins) };
}

/** What is read of src/text/tokenizer.ts and src/text/chat-template.ts. */
export function modelTraits(
  tokenizer: { idOf(token: string): number | undefined },
  chatTemplate: { readonly source: string } | null,
  modelType = '',
): ModelTraits {
  return { templateSource: chatTemplate?.source ?? '', hasToken: (token) => tokenizer.idOf(token) !== undefined, modelType };
}
