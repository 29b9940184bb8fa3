/** Messages to a prompt, by the model's own Jinja template, as transformers' apply_chat_template does it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StartupError, TroupeError } from '../core/errors.ts';
import { readsParts } from './content-parts.ts';
import { TemplateError } from './jinja/errors.ts';
import { trim, trimEnd } from './jinja/python-text.ts';
import { Template } from './jinja/template.ts';

export interface ChatTemplateInput {
  readonly messages: readonly Readonly<Record<string, unknown>>[];
  readonly tools?: readonly unknown[] | undefined;
  /** Ends the prompt with the beginning of an assistant message. */
  readonly addGenerationPrompt: boolean;
  /** Ends the prompt right after the last message's content, so that the model goes on with it. Excludes addGenerationPrompt. */
  readonly continueFinalMessage: boolean;
  /** Variables for the template, e.g. `enable_thinking`. */
  readonly templateKwargs: Readonly<Record<string, unknown>>;
  readonly bosToken: string | null;
  readonly eosToken: string | null;
  /** What `strftime_now` shows; the system's time when absent. */
  readonly now?: () => Date;
}

/** Whose template it is: the checkpoint's, the operator's (`--chat-template`), or that of one request, which nobody vouches for. */
export type TemplateOrigin = 'model' | 'server' | 'request';

/** For a request's own template: a render holds everybody's streams for about 100 ms at most. */
const MAX_WORK_OF_REQUEST = 300_000;
const MAX_LENGTH_OF_REQUEST = 65_536;
const MAX_REQUEST_TEMPLATES = 32;

/** Where the template is text, its compiled form; where it cannot be read, why. Completions still work then, so the server starts. */
type Compiled = Template | TemplateError;

export class ChatTemplate {
  readonly source: string;
  /** Whether the template looks into a list of content parts; others know a message's content as a string only. */
  readonly readsParts: boolean;
  readonly #template: Compiled;
  readonly #toolTemplate: Compiled;
  readonly specialTokens: Readonly<Record<string, string>>;
  readonly #origin: TemplateOrigin;

  /**
   * From chat_template.jinja, else from tokenizer_config.json (one template, or a list of named ones: `default`, and `tool_use` for requests
   * with tools). Null when the checkpoint has none.
   * @throws StartupError naming a damaged file.
   */
  static load(modelDir: string): ChatTemplate | null {
    const configFile = join(modelDir, 'tokenizer_config.json');
    const config = readJson(configFile);
    const specialTokens = specialTokensOf(config);
    const ownFile = readIfThere(join(modelDir, 'chat_template.jinja'));
    if (ownFile !== null) return new ChatTemplate(ownFile, ownFile, specialTokens);
    const entry = config.chat_template;
    if (typeof entry === 'string') return new ChatTemplate(entry, entry, specialTokens);
    if (!Array.isArray(entry)) return null;
    const named = new Map(entry.map((item: { name?: unknown; template?: unknown }) => [item.name, item.template]));
    const source = named.get('default') ?? entry[0]?.template;
    if (typeof source !== 'string') throw new StartupError(`${configFile}: chat_template is a list without a template named "default".`);
    const toolUse = named.get('tool_use');
    return new ChatTemplate(source, typeof toolUse === 'string' ? toolUse : source, specialTokens);
  }

  /** `specialTokens`: further variables such as `unk_token`. */
  constructor(source: string, toolSource = source, specialTokens: Readonly<Record<string, string>> = {}, origin: TemplateOrigin = 'model') {
    this.source = source;
    this.readsParts = readsParts(source) || readsParts(toolSource);
    this.#template = compile(source, origin);
    this.#toolTemplate = toolSource === source ? this.#template : compile(toolSource, origin);
    this.specialTokens = specialTokens;
    this.#origin = origin;
  }

  /** The operator's template in place of the model's. @throws StartupError when it cannot be read: a server without its template is of no use. */
  static ofServer(source: string, modelDir: string): ChatTemplate {
    const config = readJson(join(modelDir, 'tokenizer_config.json'));
    const template = new ChatTemplate(source, source, specialTokensOf(config), 'server');
    if (template.#template instanceof TemplateError) throw new StartupError(`--chat-template: ${template.#template.message}.`);
    return template;
  }

  /**
   * The prompt. It holds all special tokens that the template writes, so encode it without adding any.
   * @throws TroupeError `invalid_request`: the template refused the messages, or uses what is not supported.
   */
  render(input: ChatTemplateInput): string {
    if (!input.continueFinalMessage) return this.#render(input, input.messages);
    if (input.addGenerationPrompt) {
      throw refusal(
        'continue_final_message and add_generation_prompt exclude each other; set add_generation_prompt to false',
        'continue_final_message',
      );
    }
    const tagged = tagFinalMessage(input.messages);
    const text = this.#render(input, tagged.messages);
    return cutAtTag(text, tagged.content);
  }

  #render(input: ChatTemplateInput, messages: ChatTemplateInput['messages']): string {
    const template = input.tools !== undefined && input.tools.length > 0 ? this.#toolTemplate : this.#template;
    try {
      if (template instanceof TemplateError) throw template;
      return template.render(
        {
          ...this.specialTokens,
          bos_token: input.bosToken ?? undefined,
          eos_token: input.eosToken ?? undefined,
          documents: null,
          ...input.templateKwargs,
          messages: messages.map(aliasReasoning),
          tools: input.tools ?? null,
          add_generation_prompt: input.addGenerationPrompt,
        },
        input.now,
      );
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      if (this.#origin === 'request')
        throw refusal(`This chat template cannot render these messages: ${error.message}`, 'chat_template', error);
      const whose = this.#origin === 'server' ? "server's" : "model's";
      throw refusal(`The ${whose} chat template cannot render these messages: ${error.message}`, 'messages', error);
    }
  }
}

/** Templates that came with requests, compiled; the last ones used are kept. */
export class RequestTemplates {
  readonly #bySource = new Map<string, ChatTemplate>();
  readonly #specialTokens: Readonly<Record<string, string>>;

  /** @param model whose special tokens such a template may name. */
  constructor(model: ChatTemplate | null) {
    this.#specialTokens = model?.specialTokens ?? {};
  }

  /** @throws TroupeError `invalid_request` when it is too long; what is wrong inside it is said when it renders. */
  get(source: string): ChatTemplate {
    if (source.length > MAX_LENGTH_OF_REQUEST) {
      throw refusal(`The chat template has ${source.length} characters; at most ${MAX_LENGTH_OF_REQUEST} are allowed.`, 'chat_template');
    }
    const template = this.#bySource.get(source) ?? new ChatTemplate(source, source, this.#specialTokens, 'request');
    this.#bySource.delete(source);
    this.#bySource.set(source, template);
    if (this.#bySource.size > MAX_REQUEST_TEMPLATES) this.#bySource.delete(this.#bySource.keys().next().value!);
    return template;
  }
}

const TAG = 'CONTINUE_FINAL_MESSAGE_TAG ';

/** The messages with a tag after the last message's text, and that text. */
function tagFinalMessage(messages: ChatTemplateInput['messages']): { messages: ChatTemplateInput['messages']; content: string } {
  const last = messages.at(-1);
  const content = last?.content;
  const others = messages.slice(0, -1);
  if (typeof content === 'string') return { messages: [...others, { ...last, content: content + TAG }], content };
  if (Array.isArray(content)) {
    const at = content.findLastIndex((part) => typeof part === 'object' && part !== null && typeof part.text === 'string');
    if (at >= 0) {
      const text = content[at].text as string;
      const parts = content.with(at, { ...content[at], text: text + TAG });
      return { messages: [...others, { ...last, content: parts }], content: text };
    }
  }
  throw refusal('continue_final_message needs a last message with text in it', 'messages');
}

function cutAtTag(text: string, content: string): string {
  const at = text.lastIndexOf(TAG.trimEnd());
  if (at < 0 || !text.includes(trim(content))) {
    throw refusal(
      "continue_final_message: the model's chat template leaves out or changes the last message, so it cannot be continued",
      'messages',
    );
  }
  // A template that trims the content took the tag's space, and with it the content's own trailing space.
  return text.startsWith(TAG, at) ? text.slice(0, at) : trimEnd(text.slice(0, at));
}

/** Reasoning travels under three names; transformers shows a template the first that is set as `reasoning_content` and `thinking`. */
function aliasReasoning(message: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const reasoning = message.reasoning_content ?? message.thinking ?? message.reasoning;
  return reasoning === undefined || reasoning === null ? message : { thinking: reasoning, ...message, reasoning_content: reasoning };
}

function refusal(message: string, param: string, cause?: unknown): TroupeError {
  return new TroupeError('invalid_request', message, { param, cause });
}

function compile(source: string, origin: TemplateOrigin): Compiled {
  try {
    return new Template(source, origin === 'request' ? { maxWork: MAX_WORK_OF_REQUEST } : {});
  } catch (error) {
    if (error instanceof TemplateError) return error;
    throw error;
  }
}

/** `bos_token` and the like; bos and eos come with each request. */
function specialTokensOf(config: Readonly<Record<string, unknown>>): Record<string, string> {
  const tokens: Record<string, string> = {};
  for (const name of ['unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token']) {
    const entry = config[name] as string | { content?: unknown } | null | undefined;
    const token = typeof entry === 'string' ? entry : entry?.content;
    if (typeof token === 'string') tokens[name] = token;
  }
  return tokens;
}

function readJson(file: string): Readonly<Record<string, unknown>> {
  const text = readIfThere(file);
  if (text === null) return {};
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw new StartupError(`${file}: not valid JSON.`, { cause: error });
  }
}

function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new StartupError(`${file}: cannot be read (${(error as NodeJS.ErrnoException).code}).`, { cause: error });
  }
}
