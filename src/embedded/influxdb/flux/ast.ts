/** The syntax tree of a Flux script, as the grammar of the Flux specification names its parts. */

export interface Position {
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
}

export interface Span {
  readonly start: Position;
  readonly end: Position;
}

export type BinaryOperator = '+' | '-' | '*' | '/' | '%' | '^' | '==' | '!=' | '<' | '<=' | '>' | '>=' | '=~' | '!~';

export interface Property {
  readonly key: string;
  readonly value: Expression;
  readonly span: Span;
}

export interface Parameter {
  readonly name: string;
  readonly default?: Expression;
  /** `name=<-`: takes what is piped into the call. */
  readonly piped: boolean;
  readonly span: Span;
}

interface Node {
  readonly span: Span;
  /** Height of the tree below: bounded, so that walking it can't overflow the stack. */
  readonly height: number;
}

export type Expression =
  | (Node & { readonly kind: 'identifier'; readonly name: string })
  | (Node & { readonly kind: 'string'; readonly value: string })
  | (Node & { readonly kind: 'interpolation'; readonly parts: readonly (string | Expression)[] })
  | (Node & { readonly kind: 'integer'; readonly value: bigint })
  | (Node & { readonly kind: 'float'; readonly value: number })
  | (Node & { readonly kind: 'duration'; readonly months: number; readonly nanoseconds: bigint })
  | (Node & { readonly kind: 'time'; readonly nanoseconds: bigint })
  | (Node & { readonly kind: 'regexp'; readonly source: string })
  | (Node & { readonly kind: 'pipeReceiver' })
  | (Node & { readonly kind: 'array'; readonly elements: readonly Expression[] })
  | (Node & { readonly kind: 'record'; readonly with?: Expression; readonly properties: readonly Property[] })
  | (Node & { readonly kind: 'function'; readonly parameters: readonly Parameter[]; readonly body: Expression | Block })
  | (Node & {
      readonly kind: 'call';
      readonly callee: Expression;
      readonly args: readonly Property[];
      readonly piped?: Expression;
    })
  | (Node & { readonly kind: 'member'; readonly object: Expression; readonly property: string })
  | (Node & { readonly kind: 'index'; readonly object: Expression; readonly index: Expression })
  | (Node & { readonly kind: 'unary'; readonly operator: '-' | '+' | 'not' | 'exists'; readonly argument: Expression })
  | (Node & {
      readonly kind: 'binary';
      readonly operator: BinaryOperator;
      readonly left: Expression;
      readonly right: Expression;
    })
  | (Node & {
      readonly kind: 'logical';
      readonly operator: 'and' | 'or';
      readonly left: Expression;
      readonly right: Expression;
    })
  | (Node & {
      readonly kind: 'conditional';
      readonly test: Expression;
      readonly consequent: Expression;
      readonly alternate: Expression;
    });

export type FunctionExpression = Extract<Expression, { kind: 'function' }>;

export type Statement =
  | { readonly kind: 'assignment'; readonly name: string; readonly value: Expression; readonly span: Span }
  | { readonly kind: 'option'; readonly name: string; readonly value: Expression; readonly span: Span }
  | { readonly kind: 'expression'; readonly expression: Expression; readonly span: Span }
  | { readonly kind: 'return'; readonly value: Expression; readonly span: Span };

export interface Block {
  readonly kind: 'block';
  readonly statements: readonly Statement[];
  readonly span: Span;
}

export interface Import {
  readonly path: string;
  readonly name: string;
  readonly span: Span;
}

export interface Script {
  readonly imports: readonly Import[];
  readonly statements: readonly Statement[];
}

/** The expressions that an expression is directly made of (of a function: none, its body has a scope of its own). */
export function childrenOf(expression: Expression): readonly Expression[] {
  switch (expression.kind) {
    case 'call':
      return [
        ...(expression.piped ? [expression.piped] : []),
        expression.callee,
        ...expression.args.map(({ value }) => value),
      ];
    case 'member':
      return [expression.object];
    case 'index':
      return [expression.object, expression.index];
    case 'binary':
    case 'logical':
      return [expression.left, expression.right];
    case 'unary':
      return [expression.argument];
    case 'conditional':
      return [expression.test, expression.consequent, expression.alternate];
    case 'array':
      return expression.elements;
    case 'record':
      return [...(expression.with ? [expression.with] : []), ...expression.properties.map(({ value }) => value)];
    case 'interpolation':
      return expression.parts.filter((part) => typeof part !== 'string');
    case 'function':
    case 'identifier':
    case 'string':
    case 'integer':
    case 'float':
    case 'duration':
    case 'time':
    case 'regexp':
    case 'pipeReceiver':
      return [];
  }
}
