/** How Python prints values: `str()` for output, `repr()` inside lists and dicts, `json.dumps` for `tojson`. */
import { TemplateError } from './errors.ts';
import { compareText } from './python-text.ts';
import { DictView, Float, isDict, isList, Markup, Namespace, Range, Tuple, typeName, Undefined, type Value } from './values.ts';
import { spend, spendText } from './work.ts';

/** `str(value)`. @throws TemplateError for what would print a memory address. */
export function str(value: Value): string {
  if (typeof value === 'string') return value;
  if (value instanceof Markup) return value.text;
  if (value instanceof Undefined) return '';
  return repr(value);
}

/** `repr(value)` */
export function repr(value: Value): string {
  spend(1);
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return reprText(value);
  if (value instanceof Float) return reprFloat(value.value);
  if (isList(value)) return `[${value.map(repr).join(', ')}]`;
  if (value instanceof Tuple) return value.items.length === 1 ? `(${repr(value.items[0]!)},)` : `(${value.items.map(repr).join(', ')})`;
  if (isDict(value)) return `{${[...value].map(([key, item]) => `${repr(key)}: ${repr(item)}`).join(', ')}}`;
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Markup) return `Markup(${reprText(value.text)})`;
  if (value instanceof DictView) return `dict_${value.kind}([${value.items.map(repr).join(', ')}])`;
  if (value instanceof Range) return `range(${value.start}, ${value.stop}${value.step === 1 ? '' : `, ${value.step}`})`;
  if (value instanceof Namespace) return `<Namespace ${repr(value.fields)}>`;
  throw new TemplateError(`a ${typeName(value)} cannot be printed; use |list, or call it`);
}

/** The shortest digits that read back, as in JavaScript; exponents from 1e16 and below 1e-4, always with a `.0` otherwise. */
function reprFloat(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const [digits = '', exponent = ''] = value.toExponential().split('e');
  const power = Number(exponent);
  if (power >= 16 || power < -4) return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
  const plain = value.toString();
  return plain.includes('.') ? plain : `${plain}.0`;
}

function reprText(text: string): string {
  spendText(8 * text.length);
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  let quoted = '';
  for (const character of text) {
    if (character === quote || character === '\\') quoted += `\\${character}`;
    else if (character === '\n') quoted += '\\n';
    else if (character === '\r') quoted += '\\r';
    else if (character === '\t') quoted += '\\t';
    else if (character !== ' ' && /[\p{C}\p{Z}]/u.test(character)) quoted += escapeCode(character.codePointAt(0)!);
    else quoted += character;
  }
  return quote + quoted + quote;
}

function escapeCode(code: number): string {
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
  if (code < 0x10000) return `\\u${code.toString(16).padStart(4, '0')}`;
  return `\\U${code.toString(16).padStart(8, '0')}`;
}

export interface JsonStyle {
  /** One level of indentation; null = all on one line. */
  readonly indent: string | null;
  readonly itemSeparator: string;
  readonly keySeparator: string;
  readonly ensureAscii: boolean;
  readonly sortKeys: boolean;
}

/** `json.dumps(value)`. @throws TemplateError for what JSON cannot hold. */
export function dumps(value: Value, style: JsonStyle, depth = 0): string {
  spend(1);
  if (value === null) return 'null';
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (typeof value === 'number') return String(value);
  if (value instanceof Float) return jsonFloat(value.value);
  if (typeof value === 'string') return jsonText(value, style);
  if (value instanceof Markup) return jsonText(value.text, style);
  if (isList(value) || value instanceof Tuple) {
    const items = isList(value) ? value : value.items;
    return jsonBlock(
      '[',
      ']',
      items.map((item) => dumps(item, style, depth + 1)),
      style,
      depth,
    );
  }
  if (isDict(value)) {
    const entries = [...value].map(([key, item]) => [jsonKey(key), item] as const);
    if (style.sortKeys) entries.sort(([a], [b]) => compareText(a, b));
    const lines = entries.map(([key, item]) => jsonText(key, style) + style.keySeparator + dumps(item, style, depth + 1));
    return jsonBlock('{', '}', lines, style, depth);
  }
  throw new TemplateError(`tojson: an object of type ${typeName(value)} is not JSON`);
}

function jsonBlock(open: string, close: string, lines: readonly string[], style: JsonStyle, depth: number): string {
  if (lines.length === 0) return open + close;
  if (style.indent === null) return open + lines.join(style.itemSeparator) + close;
  spendText(lines.length * (depth + 1) * style.indent.length);
  const inner = `\n${style.indent.repeat(depth + 1)}`;
  return `${open}${inner}${lines.join(style.itemSeparator + inner)}\n${style.indent.repeat(depth)}${close}`;
}

function jsonText(text: string, style: JsonStyle): string {
  spendText(text.length);
  const quoted = JSON.stringify(text);
  if (!style.ensureAscii) return quoted;
  return quoted.replace(/[\x7f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function jsonFloat(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity';
  return reprFloat(value);
}

function jsonKey(key: Value): string {
  if (typeof key === 'string') return key;
  if (key === null) return 'null';
  if (typeof key === 'boolean') return key ? 'true' : 'false';
  return str(key);
}
