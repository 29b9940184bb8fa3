/** Runs a parsed template. Names resolve lexically: block → macro → template → globals; only a namespace carries values out of a loop. */
import type { Body, CallArguments, Expression, ForStatement, Signature, Statement, Target } from './ast.ts';
import { attributeOf, itemOf } from './attributes.ts';
import { TemplateError } from './errors.ts';
import { applyFilter } from './filters.ts';
import { applyBinary, applyComparison, concat, negate, slice } from './operators.ts';
import { str } from './print.ts';
import { testNamed } from './tests.ts';
import {
  type Arguments,
  areEqual,
  Callable,
  isDict,
  isTrue,
  itemsOf,
  Loop,
  Namespace,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.ts';
import { spend, spendText } from './work.ts';

export class Scope {
  readonly #names = new Map<string, Value>();
  readonly #parent: Scope | null;

  constructor(parent: Scope | null) {
    this.#parent = parent;
  }

  set(name: string, value: Value): void {
    this.#names.set(name, value);
  }

  get(name: string): Value {
    for (let scope: Scope | null = this; scope !== null; scope = scope.#parent) {
      const value = scope.#names.get(name);
      if (value !== undefined) return value;
    }
    return new Undefined(`'${name}' is undefined`);
  }
}

/** What a body ended with: its end, or a jump that the nearest loop takes. */
type Flow = 'end' | 'break' | 'continue';

/** The text that the body writes. `break` and `continue` outside a loop are errors. */
export function render(body: Body, scope: Scope): string {
  const output: string[] = [];
  const flow = run(body, scope, output);
  if (flow !== 'end') throw new TemplateError(`{% ${flow} %} outside a loop`);
  return output.join('');
}

function run(body: Body, scope: Scope, output: string[]): Flow {
  for (const statement of body) {
    const flow = execute(statement, scope, output);
    if (flow !== 'end') return flow;
  }
  return 'end';
}

function execute(statement: Statement, scope: Scope, output: string[]): Flow {
  spend(1);
  switch (statement.type) {
    case 'text':
      spendText(statement.text.length);
      output.push(statement.text);
      return 'end';
    case 'output':
      write(output, str(evaluate(statement.expression, scope)));
      return 'end';
    case 'if': {
      const branch = statement.branches.find(({ test }) => isTrue(evaluate(test, scope)));
      return run(branch?.body ?? statement.otherwise, scope, output);
    }
    case 'for':
      return loop(statement, evaluate(statement.iterable, scope), scope, output, 0);
    case 'set':
      assign(statement.target, evaluate(statement.value, scope), scope);
      return 'end';
    case 'setBlock': {
      const text = render(statement.body, new Scope(scope));
      assign(statement.target, statement.filter === null ? text : evaluate(statement.filter, scope, text), scope);
      return 'end';
    }
    case 'with': {
      const inner = new Scope(scope);
      statement.targets.forEach((target, i) => {
        assign(target, evaluate(statement.values[i]!, scope), inner);
      });
      return run(statement.body, inner, output);
    }
    case 'macro':
      scope.set(statement.signature.name, macro(statement.signature, statement.body, scope));
      return 'end';
    case 'callBlock': {
      const caller = macro(statement.signature, statement.body, scope);
      const args = evaluateArguments(statement.call.args, scope);
      const callee = evaluate(statement.call.callee, scope);
      write(output, str(call(callee, { positional: args.positional, keyword: new Map([...args.keyword, ['caller', caller]]) })));
      return 'end';
    }
    case 'filterBlock':
      write(output, str(evaluate(statement.filter, scope, render(statement.body, new Scope(scope)))));
      return 'end';
    case 'scope':
      return run(statement.body, new Scope(scope), output);
    case 'break':
    case 'continue':
      return statement.type;
    default:
      return statement satisfies never;
  }
}

/** Its scope and the `loop` variable. */
const WORK_OF_A_ROUND = 8;

function write(output: string[], text: string): void {
  spendText(text.length);
  output.push(text);
}

function loop(statement: ForStatement, iterable: Value, scope: Scope, output: string[], depth: number): Flow {
  const scopes: { readonly item: Value; readonly scope: Scope }[] = [];
  for (const item of itemsOf(iterable)) {
    const inner = new Scope(scope);
    assign(statement.target, item, inner);
    if (statement.test === null || isTrue(evaluate(statement.test, inner))) scopes.push({ item, scope: inner });
  }
  const recurse = (children: Value): Value => {
    const inner: string[] = [];
    loop(statement, children, scope, inner, depth + 1);
    return inner.join('');
  };
  const items = scopes.map(({ item }) => item);
  const changed = changeDetector();
  let isAnyComplete = false;
  for (let i = 0; i < scopes.length; i++) {
    spend(WORK_OF_A_ROUND);
    const fields = loopFields(items, i, depth, changed);
    scopes[i]!.scope.set('loop', new Loop(fields, statement.isRecursive ? recurse : null));
    const flow = run(statement.body, scopes[i]!.scope, output);
    if (flow === 'break') break;
    if (flow === 'end') isAnyComplete = true;
  }
  // As in Jinja, whose `else` runs unless a round came to the end of the body.
  return isAnyComplete ? 'end' : run(statement.otherwise, new Scope(scope), output);
}

function loopFields(items: readonly Value[], i: number, depth: number, changed: Callable): Map<string, Value> {
  const length = items.length;
  const cycle = ({ positional }: Arguments): Value => {
    if (positional.length === 0) throw new TemplateError('no items for cycling given');
    return positional[i % positional.length]!;
  };
  return new Map<string, Value>([
    ['index', i + 1],
    ['index0', i],
    ['revindex', length - i],
    ['revindex0', length - i - 1],
    ['first', i === 0],
    ['last', i === length - 1],
    ['length', length],
    ['depth', depth + 1],
    ['depth0', depth],
    ['previtem', i > 0 ? items[i - 1]! : new Undefined('there is no previous item')],
    ['nextitem', i < length - 1 ? items[i + 1]! : new Undefined('there is no next item')],
    ['cycle', new Callable('cycle', cycle)],
    ['changed', changed],
  ]);
}

function changeDetector(): Callable {
  let last: Tuple | null = null;
  return new Callable('changed', ({ positional }) => {
    const now = new Tuple(positional);
    const isChanged = last === null || !areEqual(last, now);
    last = now;
    return isChanged;
  });
}

function assign(target: Target, value: Value, scope: Scope): void {
  switch (target.type) {
    case 'name':
      scope.set(target.name, value);
      return;
    case 'namespaceField': {
      const namespace = scope.get(target.namespace);
      if (!(namespace instanceof Namespace)) throw new TemplateError('cannot assign attribute on non-namespace object');
      if (target.field.startsWith('_')) throw new TemplateError(`a namespace field cannot begin with an underscore: ${target.field}`);
      namespace.fields.set(target.field, value);
      return;
    }
    case 'tuple': {
      const items = itemsOf(value);
      if (items.length !== target.items.length) throw new TemplateError(`cannot unpack ${items.length} values into ${target.items.length}`);
      target.items.forEach((part, i) => {
        assign(part, items[i]!, scope);
      });
    }
  }
}

function macro(signature: Signature, body: Body, definition: Scope): Callable {
  const uses = (name: string): boolean => !signature.parameters.some((parameter) => parameter.name === name) && mentions(body, name);
  const [usesVarargs, usesKwargs, usesCaller] = [uses('varargs'), uses('kwargs'), uses('caller')];
  return new Callable(signature.name, (args) => {
    const scope = new Scope(definition);
    const keyword = new Map(args.keyword);
    const missing: (typeof signature.parameters)[number][] = [];
    signature.parameters.forEach((parameter, i) => {
      const value = i < args.positional.length ? args.positional[i] : keyword.get(parameter.name);
      if (i >= args.positional.length) keyword.delete(parameter.name);
      if (value === undefined) missing.push(parameter);
      scope.set(parameter.name, value ?? new Undefined(`parameter '${parameter.name}' was not provided`));
    });
    if (usesCaller) scope.set('caller', keyword.get('caller') ?? new Undefined('No caller defined'));
    if (usesCaller) keyword.delete('caller');
    const surplus = args.positional.slice(signature.parameters.length);
    if (usesVarargs) scope.set('varargs', new Tuple(surplus));
    else if (surplus.length > 0)
      throw new TemplateError(`macro '${signature.name}' takes not more than ${signature.parameters.length} argument(s)`);
    if (usesKwargs) scope.set('kwargs', keyword);
    else if (keyword.size > 0) throw new TemplateError(`macro '${signature.name}' takes no keyword argument '${[...keyword.keys()][0]}'`);
    for (const { name, fallback } of missing) if (fallback !== null) scope.set(name, evaluate(fallback, scope));
    return render(body, scope);
  });
}

/** Whether a name occurs as a variable anywhere in a part of the tree. */
function mentions(node: unknown, name: string): boolean {
  if (node === null || typeof node !== 'object') return false;
  spend(1);
  const { type, name: ownName } = node as { type?: unknown; name?: unknown };
  return (type === 'name' && ownName === name) || Object.values(node).some((child) => mentions(child, name));
}

/** `piped` is the block's text in `{% filter %}` and `{% set x | f %}`. */
function evaluate(expression: Expression, scope: Scope, piped: string | null = null): Value {
  spend(1);
  switch (expression.type) {
    case 'constant':
      return expression.value;
    case 'name':
      return scope.get(expression.name);
    case 'list':
      return expression.items.map((item) => evaluate(item, scope));
    case 'tuple':
      return new Tuple(expression.items.map((item) => evaluate(item, scope)));
    case 'dict':
      return new Map(expression.entries.map(({ key, value }) => [dictKey(evaluate(key, scope)), evaluate(value, scope)]));
    case 'attribute':
      return attributeOf(evaluate(expression.object, scope), expression.name);
    case 'item':
      return itemOf(evaluate(expression.object, scope), evaluate(expression.key, scope));
    case 'slice': {
      const [start, stop, step] = expression.bounds.map((bound) => (bound === null ? null : evaluate(bound, scope)));
      return slice(evaluate(expression.object, scope), start!, stop!, step!);
    }
    case 'call':
      return call(evaluate(expression.callee, scope), evaluateArguments(expression.args, scope));
    case 'filter': {
      const operand = expression.operand === null ? piped! : evaluate(expression.operand, scope, piped);
      return applyFilter(expression.name, operand, evaluateArguments(expression.args, scope));
    }
    case 'test':
      return testNamed(expression.name)(evaluate(expression.operand, scope), evaluateArguments(expression.args, scope));
    case 'not':
      return !isTrue(evaluate(expression.operand, scope));
    case 'negative':
      return negate(evaluate(expression.operand, scope));
    case 'positive':
      return negate(negate(evaluate(expression.operand, scope)));
    case 'and': {
      const left = evaluate(expression.left, scope);
      return isTrue(left) ? evaluate(expression.right, scope) : left;
    }
    case 'or': {
      const left = evaluate(expression.left, scope);
      return isTrue(left) ? left : evaluate(expression.right, scope);
    }
    case 'binary':
      return applyBinary(expression.operator, evaluate(expression.left, scope), evaluate(expression.right, scope));
    case 'concat':
      return concat(expression.items.map((item) => evaluate(item, scope)));
    case 'compare':
      return compareChain(expression, scope);
    case 'conditional': {
      if (isTrue(evaluate(expression.test, scope))) return evaluate(expression.value, scope);
      if (expression.otherwise !== null) return evaluate(expression.otherwise, scope);
      return new Undefined('the inline if-expression evaluated to false and no else section was defined');
    }
    default:
      return expression satisfies never;
  }
}

function compareChain(expression: Expression & { type: 'compare' }, scope: Scope): boolean {
  let left = evaluate(expression.first, scope);
  for (const { operator, right: next } of expression.rest) {
    const right = evaluate(next, scope);
    if (!applyComparison(operator, left, right)) return false;
    left = right;
  }
  return true;
}

function evaluateArguments(args: CallArguments, scope: Scope): Arguments {
  const positional = args.positional.map((argument) => evaluate(argument, scope));
  if (args.spread !== null) positional.push(...itemsOf(evaluate(args.spread, scope)));
  const keyword = new Map(args.keyword.map(({ name, value }) => [name, evaluate(value, scope)]));
  if (args.keywordSpread !== null) {
    const more = evaluate(args.keywordSpread, scope);
    if (!isDict(more)) throw new TemplateError(`an argument after ** must be a mapping, not ${typeName(more)}`);
    spend(more.size);
    for (const [name, value] of more) keyword.set(String(name), value);
  }
  return { positional, keyword };
}

function call(callee: Value, args: Arguments): Value {
  if (callee instanceof Callable) return callee.call(args);
  if (callee instanceof Loop && callee.recurse !== null) return callee.recurse(args.positional[0] ?? null);
  throw new TemplateError(callee instanceof Undefined ? callee.hint : `'${typeName(callee)}' object is not callable`);
}

function dictKey(key: Value): Value {
  // True and 1 are one key in Python, and two in a Map.
  if (typeof key === 'boolean' || (key !== null && typeof key === 'object'))
    throw new TemplateError(`a ${typeName(key)} as key of a dict is not supported`);
  return key;
}
