/** Tokens to statements (jinja2/parser.py). Inheritance, includes and imports have no meaning in a chat template and are refused. */
import type { Body, Expression, Signature, Statement, Target } from './ast.ts';
import { parseArguments, parseExpression, parseFilter, parseOr, parseTuple } from './expression-parser.ts';
import { tokenize } from './lexer.ts';
import { TokenStream } from './token-stream.ts';

/** @throws TemplateError naming the line and what was expected. */
export function parse(template: string): Body {
  const stream = new TokenStream(tokenize(template));
  return parseUntil(stream, []);
}

/** Statements up to a tag whose name is in `ends`; that name is the current token afterwards. */
function parseUntil(stream: TokenStream, ends: readonly string[]): Body {
  const body: Statement[] = [];
  for (;;) {
    const token = stream.next();
    switch (token.type) {
      case 'data':
        body.push({ type: 'text', text: token.value });
        break;
      case 'variableBegin':
        body.push({ type: 'output', expression: parseTuple(stream) });
        stream.expectType('variableEnd');
        break;
      case 'blockBegin':
        if (stream.isName(...ends)) return body;
        body.push(parseStatement(stream));
        stream.expectType('blockEnd');
        break;
      default:
        if (ends.length > 0) throw stream.error(`the template ends without {% ${ends.at(-1)} %}`);
        return body;
    }
  }
}

/** The rest of the opening tag, then statements up to `{% end %}`, whose name is taken. */
function parseBody(stream: TokenStream, end: string): Body {
  stream.expectType('blockEnd');
  const body = parseUntil(stream, [end]);
  stream.next();
  return body;
}

function parseStatement(stream: TokenStream): Statement {
  const tag = stream.expectType('name').value;
  switch (tag) {
    case 'if':
      return parseIf(stream);
    case 'for':
      return parseFor(stream);
    case 'set':
      return parseSet(stream);
    case 'with':
      return parseWith(stream);
    case 'macro': {
      const name = stream.expectType('name').value;
      const signature = parseSignature(stream, name);
      return { type: 'macro', signature, body: parseBody(stream, 'endmacro') };
    }
    case 'call':
      return parseCall(stream);
    case 'filter': {
      const filter = parseFilters(stream, parseFilter(stream, null));
      return { type: 'filterBlock', filter, body: parseBody(stream, 'endfilter') };
    }
    case 'generation':
      return { type: 'scope', body: parseBody(stream, 'endgeneration') };
    case 'break':
    case 'continue':
      return { type: tag };
    default:
      throw stream.error(`the tag {% ${tag} %} is unknown or not supported`);
  }
}

function parseIf(stream: TokenStream): Statement {
  const branches: { test: Expression; body: Body }[] = [];
  for (;;) {
    const test = parseTuple(stream, parseOr);
    stream.expectType('blockEnd');
    branches.push({ test, body: parseUntil(stream, ['elif', 'else', 'endif']) });
    const end = stream.next().value;
    if (end === 'elif') continue;
    return { type: 'if', branches, otherwise: end === 'else' ? parseBody(stream, 'endif') : [] };
  }
}

function parseFor(stream: TokenStream): Statement {
  const target = parseTarget(stream);
  stream.expectName('in');
  const iterable = parseTuple(stream, parseOr);
  const test = stream.skipName('if') ? parseExpression(stream) : null;
  const isRecursive = stream.skipName('recursive');
  stream.expectType('blockEnd');
  const body = parseUntil(stream, ['else', 'endfor']);
  const otherwise = stream.next().value === 'else' ? parseBody(stream, 'endfor') : [];
  return { type: 'for', target, iterable, test, isRecursive, body, otherwise };
}

function parseSet(stream: TokenStream): Statement {
  const target = parseTarget(stream);
  if (stream.skipOperator('=')) return { type: 'set', target, value: parseTuple(stream) };
  const filter = stream.skipOperator('|') ? parseFilters(stream, parseFilter(stream, null)) : null;
  return { type: 'setBlock', target, filter, body: parseBody(stream, 'endset') };
}

function parseFilters(stream: TokenStream, first: Expression): Expression {
  let filter = first;
  while (stream.skipOperator('|')) filter = parseFilter(stream, filter);
  return filter;
}

function parseWith(stream: TokenStream): Statement {
  const targets: Target[] = [];
  const values: Expression[] = [];
  while (!stream.isType('blockEnd')) {
    if (targets.length > 0) stream.expectOperator(',');
    targets.push(parseOneTarget(stream));
    stream.expectOperator('=');
    values.push(parseExpression(stream));
  }
  return { type: 'with', targets, values, body: parseBody(stream, 'endwith') };
}

function parseCall(stream: TokenStream): Statement {
  const signature = stream.isOperator('(') ? parseSignature(stream, 'caller') : { name: 'caller', parameters: [] };
  const call = parseExpression(stream);
  if (call.type !== 'call') throw stream.error('{% call %} needs a call');
  return { type: 'callBlock', signature, call, body: parseBody(stream, 'endcall') };
}

/** Parameters are read as arguments: plain names, and names with a default. */
function parseSignature(stream: TokenStream, name: string): Signature {
  const { positional, keyword, spread, keywordSpread } = parseArguments(stream);
  if (spread !== null || keywordSpread !== null) throw stream.error('a macro takes no * or ** parameter; use varargs and kwargs');
  const plain = positional.map((parameter) => {
    if (parameter.type !== 'name') throw stream.error(`a parameter of ${name} is not a name`);
    return { name: parameter.name, fallback: null };
  });
  return { name, parameters: [...plain, ...keyword.map((parameter) => ({ name: parameter.name, fallback: parameter.value }))] };
}

function parseTarget(stream: TokenStream): Target {
  const items = [parseOneTarget(stream)];
  let isTuple = false;
  while (stream.skipOperator(',')) {
    isTuple = true;
    if (!stream.isType('name') && !stream.isOperator('(')) break;
    items.push(parseOneTarget(stream));
  }
  return isTuple ? { type: 'tuple', items } : items[0]!;
}

function parseOneTarget(stream: TokenStream): Target {
  if (stream.skipOperator('(')) {
    const target = parseTarget(stream);
    stream.expectOperator(')');
    return target;
  }
  const name = stream.expectType('name').value;
  if (['true', 'false', 'none', 'True', 'False', 'None'].includes(name)) throw stream.error(`cannot assign to ${name}`);
  return stream.skipOperator('.')
    ? { type: 'namespaceField', namespace: name, field: stream.expectType('name').value }
    : { type: 'name', name };
}
