/** What parser.ts makes and evaluator.ts runs. The nodes are Jinja's own (jinja2/nodes.py), so that its documentation holds here. */
import type { Value } from './values.ts';

export interface CallArguments {
  readonly positional: readonly Expression[];
  readonly keyword: readonly { readonly name: string; readonly value: Expression }[];
  /** `*args` */
  readonly spread: Expression | null;
  /** `**kwargs` */
  readonly keywordSpread: Expression | null;
}

export type BinaryOperator = '+' | '-' | '*' | '/' | '//' | '%' | '**';
export type ComparisonOperator = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in' | 'not in';

export type Expression =
  | { readonly type: 'constant'; readonly value: Value }
  | { readonly type: 'name'; readonly name: string }
  | { readonly type: 'list' | 'tuple'; readonly items: readonly Expression[] }
  | { readonly type: 'dict'; readonly entries: readonly { readonly key: Expression; readonly value: Expression }[] }
  | { readonly type: 'attribute'; readonly object: Expression; readonly name: string }
  | { readonly type: 'item'; readonly object: Expression; readonly key: Expression }
  | { readonly type: 'slice'; readonly object: Expression; readonly bounds: readonly [Bound, Bound, Bound] }
  | { readonly type: 'call'; readonly callee: Expression; readonly args: CallArguments }
  /** `operand` is null in `{% filter %}` and `{% set x | f %}`, where the block's text takes its place. */
  | { readonly type: 'filter'; readonly operand: Expression | null; readonly name: string; readonly args: CallArguments }
  | { readonly type: 'test'; readonly operand: Expression; readonly name: string; readonly args: CallArguments }
  | { readonly type: 'not' | 'negative' | 'positive'; readonly operand: Expression }
  | { readonly type: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | { readonly type: 'binary'; readonly operator: BinaryOperator; readonly left: Expression; readonly right: Expression }
  | { readonly type: 'concat'; readonly items: readonly Expression[] }
  /** `a < b <= c`: every operator compares its neighbours. */
  | {
      readonly type: 'compare';
      readonly first: Expression;
      readonly rest: readonly { readonly operator: ComparisonOperator; readonly right: Expression }[];
    }
  | { readonly type: 'conditional'; readonly test: Expression; readonly value: Expression; readonly otherwise: Expression | null };

export type Bound = Expression | null;

/** What stands left of `=` or `in`. */
export type Target =
  | { readonly type: 'name'; readonly name: string }
  | { readonly type: 'namespaceField'; readonly namespace: string; readonly field: string }
  | { readonly type: 'tuple'; readonly items: readonly Target[] };

export interface Signature {
  readonly name: string;
  readonly parameters: readonly { readonly name: string; readonly fallback: Expression | null }[];
}

export type Statement =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'output'; readonly expression: Expression }
  | { readonly type: 'if'; readonly branches: readonly { readonly test: Expression; readonly body: Body }[]; readonly otherwise: Body }
  | ForStatement
  | { readonly type: 'set'; readonly target: Target; readonly value: Expression }
  | { readonly type: 'setBlock'; readonly target: Target; readonly filter: Expression | null; readonly body: Body }
  | { readonly type: 'with'; readonly targets: readonly Target[]; readonly values: readonly Expression[]; readonly body: Body }
  | { readonly type: 'macro'; readonly signature: Signature; readonly body: Body }
  | { readonly type: 'callBlock'; readonly signature: Signature; readonly call: Expression & { type: 'call' }; readonly body: Body }
  | { readonly type: 'filterBlock'; readonly filter: Expression; readonly body: Body }
  /** `{% generation %}` of transformers, which only marks the assistant's text. */
  | { readonly type: 'scope'; readonly body: Body }
  | { readonly type: 'break' | 'continue' };

export interface ForStatement {
  readonly type: 'for';
  readonly target: Target;
  readonly iterable: Expression;
  readonly test: Expression | null;
  readonly isRecursive: boolean;
  readonly body: Body;
  readonly otherwise: Body;
}

export type Body = readonly Statement[];
