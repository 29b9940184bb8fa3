/** Jinja's expression grammar (jinja2/parser.py), weakest binding first. */
import type { BinaryOperator, Bound, CallArguments, ComparisonOperator, Expression } from './ast.ts';
import type { TokenStream } from './token-stream.ts';
import { Float } from './values.ts';

const NO_ARGUMENTS: CallArguments = { positional: [], keyword: [], spread: null, keywordSpread: null };
const COMPARISONS = ['==', '!=', '<', '<=', '>', '>='];

/** One expression; `a if b else c` included. */
export function parseExpression(stream: TokenStream): Expression {
  let expression = parseOr(stream);
  while (stream.skipName('if')) {
    const test = parseOr(stream);
    const otherwise = stream.skipName('else') ? parseExpression(stream) : null;
    expression = { type: 'conditional', test, value: expression, otherwise };
  }
  return expression;
}

/** One expression, or several with commas between them: a tuple. `parse` reads each. */
export function parseTuple(stream: TokenStream, parse = parseExpression, isParenthesized = false): Expression {
  const items: Expression[] = [];
  let isTuple = false;
  while (!isTupleEnd(stream)) {
    items.push(parse(stream));
    if (!stream.skipOperator(',')) break;
    isTuple = true;
  }
  if (items.length === 1 && !isTuple) return items[0]!;
  if (items.length === 0 && !isParenthesized) throw stream.unexpected('an expression');
  return { type: 'tuple', items };
}

function isTupleEnd(stream: TokenStream): boolean {
  return stream.isType('variableEnd') || stream.isType('blockEnd') || stream.isOperator(')') || stream.isName('in', 'recursive');
}

/** Without a conditional at the top, as in `for x in …` and `if …`. */
export function parseOr(stream: TokenStream): Expression {
  let left = parseAnd(stream);
  while (stream.skipName('or')) left = { type: 'or', left, right: parseAnd(stream) };
  return left;
}

function parseAnd(stream: TokenStream): Expression {
  let left = parseNot(stream);
  while (stream.skipName('and')) left = { type: 'and', left, right: parseNot(stream) };
  return left;
}

function parseNot(stream: TokenStream): Expression {
  return stream.skipName('not') ? { type: 'not', operand: parseNot(stream) } : parseComparison(stream);
}

function parseComparison(stream: TokenStream): Expression {
  const first = parseSum(stream);
  const rest: { operator: ComparisonOperator; right: Expression }[] = [];
  for (;;) {
    let operator: ComparisonOperator;
    if (stream.isOperator(...COMPARISONS)) operator = stream.next().value as ComparisonOperator;
    else if (stream.skipName('in')) operator = 'in';
    else if (stream.isName('not') && stream.isFollowedBy('name', 'in')) {
      stream.next();
      stream.next();
      operator = 'not in';
    } else break;
    rest.push({ operator, right: parseSum(stream) });
  }
  return rest.length === 0 ? first : { type: 'compare', first, rest };
}

function parseSum(stream: TokenStream): Expression {
  return parseBinary(stream, ['+', '-'], parseConcat);
}

function parseConcat(stream: TokenStream): Expression {
  const items = [parseProduct(stream)];
  while (stream.skipOperator('~')) items.push(parseProduct(stream));
  return items.length === 1 ? items[0]! : { type: 'concat', items };
}

function parseProduct(stream: TokenStream): Expression {
  return parseBinary(stream, ['*', '/', '//', '%'], parsePower);
}

function parsePower(stream: TokenStream): Expression {
  return parseBinary(stream, ['**'], parseUnary);
}

function parseBinary(stream: TokenStream, operators: readonly BinaryOperator[], parse: (stream: TokenStream) => Expression): Expression {
  let left = parse(stream);
  while (stream.isOperator(...operators)) {
    const operator = stream.next().value as BinaryOperator;
    left = { type: 'binary', operator, left, right: parse(stream) };
  }
  return left;
}

/** `-x|f` is `(-x)|f`. */
function parseUnary(stream: TokenStream): Expression {
  return parseFiltersAndTests(stream, parseSigned(stream));
}

function parseSigned(stream: TokenStream): Expression {
  if (stream.skipOperator('-')) return parsePostfix(stream, { type: 'negative', operand: parseSigned(stream) });
  if (stream.skipOperator('+')) return parsePostfix(stream, { type: 'positive', operand: parseSigned(stream) });
  return parsePostfix(stream, parsePrimary(stream));
}

/** A name, a literal or something in brackets. */
function parsePrimary(stream: TokenStream): Expression {
  const token = stream.current;
  switch (token.type) {
    case 'name':
      stream.next();
      if (token.value === 'true' || token.value === 'True') return { type: 'constant', value: true };
      if (token.value === 'false' || token.value === 'False') return { type: 'constant', value: false };
      if (token.value === 'none' || token.value === 'None') return { type: 'constant', value: null };
      return { type: 'name', name: token.value };
    case 'string': {
      let text = '';
      while (stream.isType('string')) text += stream.next().value;
      return { type: 'constant', value: text };
    }
    case 'integer':
      if (!Number.isSafeInteger(Number(token.value))) throw stream.error(`the number ${token.value} is too large`);
      return { type: 'constant', value: Number(stream.next().value) };
    case 'float':
      return { type: 'constant', value: new Float(Number(stream.next().value)) };
    default:
      return parseBracketed(stream);
  }
}

function parseBracketed(stream: TokenStream): Expression {
  if (stream.skipOperator('(')) {
    const expression = parseTuple(stream, parseExpression, true);
    stream.expectOperator(')');
    return expression;
  }
  if (stream.skipOperator('[')) return { type: 'list', items: parseSeparated(stream, ']', parseExpression) };
  if (stream.skipOperator('{')) {
    const entries = parseSeparated(stream, '}', () => {
      const key = parseExpression(stream);
      stream.expectOperator(':');
      return { key, value: parseExpression(stream) };
    });
    return { type: 'dict', entries };
  }
  throw stream.unexpected('an expression');
}

/** Items with commas between them, perhaps one at the end, up to and with `close`. */
function parseSeparated<T>(stream: TokenStream, close: string, parse: (stream: TokenStream) => T): T[] {
  const items: T[] = [];
  while (!stream.isOperator(close)) {
    if (items.length > 0) stream.expectOperator(',');
    if (stream.isOperator(close)) break;
    items.push(parse(stream));
  }
  stream.expectOperator(close);
  return items;
}

function parsePostfix(stream: TokenStream, expression: Expression): Expression {
  let object = expression;
  for (;;) {
    if (stream.skipOperator('.')) {
      const name = stream.next();
      if (name.type === 'name') object = { type: 'attribute', object, name: name.value };
      else if (name.type === 'integer') object = { type: 'item', object, key: { type: 'constant', value: Number(name.value) } };
      else throw stream.error('expected a name or a number after the dot');
    } else if (stream.skipOperator('[')) object = parseSubscript(stream, object);
    else if (stream.isOperator('(')) object = { type: 'call', callee: object, args: parseArguments(stream) };
    else return object;
  }
}

function parseSubscript(stream: TokenStream, object: Expression): Expression {
  const start = stream.isOperator(':') ? null : parseExpression(stream);
  if (start !== null && stream.isOperator(',')) throw stream.error('a subscript with several values is not supported');
  if (start !== null && stream.skipOperator(']')) return { type: 'item', object, key: start };
  stream.expectOperator(':');
  const bound = (): Bound => (stream.isOperator(':', ']') ? null : parseExpression(stream));
  const stop = bound();
  const step = stream.skipOperator(':') ? bound() : null;
  stream.expectOperator(']');
  return { type: 'slice', object, bounds: [start, stop, step] };
}

/** `(a, b=1, *c, **d)` */
export function parseArguments(stream: TokenStream): CallArguments {
  stream.expectOperator('(');
  const positional: Expression[] = [];
  const keyword: { name: string; value: Expression }[] = [];
  let spread: Expression | null = null;
  let keywordSpread: Expression | null = null;
  parseSeparated(stream, ')', () => {
    if (stream.skipOperator('*')) spread = parseExpression(stream);
    else if (stream.skipOperator('**')) keywordSpread = parseExpression(stream);
    else if (stream.isType('name') && stream.isFollowedBy('operator', '=')) {
      const name = stream.next().value;
      stream.next();
      keyword.push({ name, value: parseExpression(stream) });
    } else {
      if (keyword.length > 0 || spread !== null || keywordSpread !== null)
        throw stream.error('a positional argument follows a keyword argument');
      positional.push(parseExpression(stream));
    }
  });
  return { positional, keyword, spread, keywordSpread };
}

function parseFiltersAndTests(stream: TokenStream, expression: Expression): Expression {
  let operand = expression;
  for (;;) {
    if (stream.skipOperator('|')) operand = parseFilter(stream, operand);
    else if (stream.skipName('is')) operand = parseTest(stream, operand);
    else if (stream.isOperator('(')) operand = { type: 'call', callee: operand, args: parseArguments(stream) };
    else return operand;
  }
}

/** A filter's name and arguments; the `|` before it is already taken. */
export function parseFilter(stream: TokenStream, operand: Expression | null): Expression {
  const name = stream.expectType('name').value;
  return { type: 'filter', operand, name, args: stream.isOperator('(') ? parseArguments(stream) : NO_ARGUMENTS };
}

function parseTest(stream: TokenStream, operand: Expression): Expression {
  const isNegated = stream.skipName('not');
  const name = stream.expectType('name').value;
  const test: Expression = { type: 'test', operand, name, args: parseTestArguments(stream) };
  return isNegated ? { type: 'not', operand: test } : test;
}

/** A test's one argument may stand without parentheses: `x is divisibleby 3`. */
function parseTestArguments(stream: TokenStream): CallArguments {
  if (stream.isOperator('(')) return parseArguments(stream);
  const opensValue = ['name', 'string', 'integer', 'float'].includes(stream.current.type) || stream.isOperator('[', '{');
  if (!opensValue || stream.isName('else', 'or', 'and')) return NO_ARGUMENTS;
  if (stream.isName('is')) throw stream.error('tests cannot be chained with is');
  return { ...NO_ARGUMENTS, positional: [parsePostfix(stream, parsePrimary(stream))] };
}
