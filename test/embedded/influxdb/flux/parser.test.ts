import { describe, expect, it } from 'vitest';
import type { Expression, Statement } from '../../../../src/embedded/influxdb/flux/ast.ts';
import { FluxError, runFlux } from '../../../../src/embedded/influxdb/flux/index.ts';
import { parse } from '../../../../src/embedded/influxdb/flux/parser.ts';
import type { Store } from '../../../../src/embedded/influxdb/store.ts';
import { corpus } from './corpus.ts';

/** An expression as it was understood, in parentheses. */
function shape(expression: Expression): string {
  switch (expression.kind) {
    case 'identifier':
      return expression.name;
    case 'string':
      return JSON.stringify(expression.value);
    case 'integer':
    case 'float':
      return String(expression.value);
    case 'duration':
      return `${expression.months}mo${expression.nanoseconds}ns`;
    case 'time':
      return `@${expression.nanoseconds}`;
    case 'regexp':
      return `/${expression.source}/`;
    case 'member':
      return `${shape(expression.object)}.${expression.property}`;
    case 'index':
      return `${shape(expression.object)}[${shape(expression.index)}]`;
    case 'unary':
      return `(${expression.operator} ${shape(expression.argument)})`;
    case 'binary':
    case 'logical':
      return `(${shape(expression.left)} ${expression.operator} ${shape(expression.right)})`;
    case 'conditional':
      return `(if ${shape(expression.test)} then ${shape(expression.consequent)} else ${shape(expression.alternate)})`;
    case 'call': {
      const args = expression.args.map(({ key, value }) => `${key}: ${shape(value)}`).join(', ');
      return `${expression.piped ? `${shape(expression.piped)} |> ` : ''}${shape(expression.callee)}(${args})`;
    }
    case 'array':
      return `[${expression.elements.map(shape).join(', ')}]`;
    case 'record': {
      const fields = expression.properties.map(({ key, value }) => `${key}: ${shape(value)}`).join(', ');
      return `{${expression.with ? `${shape(expression.with)} with ` : ''}${fields}}`;
    }
    case 'function': {
      const names = expression.parameters.map(
        ({ name, piped, default: value }) => name + (piped ? '=<-' : value ? `=${shape(value)}` : ''),
      );
      return `(${names.join(', ')}) => ${expression.body.kind === 'block' ? '{…}' : shape(expression.body)}`;
    }
    case 'interpolation':
      return expression.parts.map((part) => (typeof part === 'string' ? part : `\${${shape(part)}}`)).join('');
    case 'pipeReceiver':
      return '<-';
  }
}

function shapeOf(text: string): string {
  const [statement] = parse(text).statements as [Statement];
  return shape(statement.kind === 'expression' ? statement.expression : statement.value);
}

describe('the parser', () => {
  it.each([
    ['1 + 2 * 3 ^ 2 - 4', '((1 + (2 * (3 ^ 2))) - 4)'],
    ['a or b and not c == d', '(a or (b and (not (c == d))))'],
    ['not exists r.x', '(not (exists r.x))'],
    ['-1h + 2mo', '((- 0mo3600000000000ns) + 2mo0ns)'],
    ['r["a b"].c[0]', 'r.a b.c[0]'],
    ['a |> f(x: 1) |> g()', 'a |> f(x: 1) |> g()'],
    ['(r) => ({r with a: 1, b})', '(r) => {r with a: 1, b: b}'],
    ['(tables=<-, n=2) => tables', '(tables=<-, n=2) => tables'],
    ['if a then b else if c then d else e', '(if a then b else (if c then d else e))'],
    ['a / b / c', '((a / b) / c)'],
    ['r.x =~ /a\\/b+/', '(r.x =~ /a/b+/)'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Flux's, not JavaScript's
    ['"a ${f(x: "${b}")} c"', 'a ${f(x: ${b})} c'],
    ['"\\xc2\\xb5\\n\\""', '"µ\\n\\""'],
    ['2024-02-29T12:00:00.5+01:00', '@1709204400500000000'],
    ['1y2mo3w4d5h6m7s8ms9us10ns', '14mo2178367008009010ns'],
    ['[1, 2.5, "x",]', '[1, 2.5, "x"]'],
    ['{a: 1, "b c": 2}', '{a: 1, b c: 2}'],
    ['f(a: (x) => { return x })', 'f(a: (x) => {…})'],
  ])('understands %s', (text, expected) => {
    expect(shapeOf(text)).toBe(expected);
  });

  it('tells where something is wrong', () => {
    expect(() => parse('x = 1\ny = [1, 2')).toThrow('compilation failed: error @2:10-2:10: expected COMMA, got EOF');
    expect(() => parse('2024-02-30')).toThrow('error @1:1-1:11: invalid date time literal "2024-02-30"');
    expect(() => parse('99999999999999999999')).toThrow('value out of range');
  });

  it('bounds length, nesting and chains', () => {
    expect(() => parse('('.repeat(100_000))).toThrow('nested too deep');
    expect(() => parse('-'.repeat(100_000))).toThrow('nested too deep');
    expect(() => parse('not '.repeat(100_000))).toThrow('nested too deep');
    expect(() => parse(`x = ${'(r) => {return '.repeat(50_000)}`)).toThrow('nested too deep');
    expect(() => parse(Array(100_000).fill('1').join(' + '))).toThrow('too long a chain');
    expect(() => parse(`x${'.a'.repeat(100_000)}`)).toThrow('too long a chain');
    expect(() => parse(`x${' |> f()'.repeat(100_000)}`)).toThrow('too long a chain');
    expect(() => parse('"${'.repeat(10_000))).toThrow('nested too deep');
    expect(() => parse(' '.repeat(1024 * 1024 + 1))).toThrow('longer than');
  });
});

/** Numbers that only look random: the same in every run. */
function* numbers(seed: number): Generator<number> {
  for (let state = seed; ; ) {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    yield Math.floor(state / 8);
  }
}

describe('malformed scripts', () => {
  const bucket = { id: '0000000000000001', name: 'measure' };
  const store = {
    bucketByName: () => bucket,
    bucketById: () => bucket,
    buckets: [],
    series: () => [],
    query: () => Promise.reject(new Error('there is nothing to read')),
  } as unknown as Store;
  const dialect = { header: true, delimiter: ',', annotations: ['datatype', 'group', 'default'] } as const;
  const pieces = ['(', ')', '[', ']', '{', '}', '"', '/', '|>', '=>', '<-', '=', ',', '.', '${', '\\', '\0', '\u{1f600}', '-', '1h', '1.5', 'r', 'with ', 'not ', 'if ', '0', '//', '\n', '=~']; // biome-ignore format: a list

  it('make a FluxError or an answer, 100,000 times', async () => {
    const next = numbers(42);
    const pick = <T>(list: readonly T[]) => list[next.next().value % list.length]!;
    let refused = 0;
    for (let n = 0; n < 100_000; n++) {
      let script = pick(corpus);
      for (let changes = 1 + (next.next().value % 3); changes > 0; changes--) {
        const at = next.next().value % (script.length + 1);
        const length = next.next().value % 6;
        const change = [
          script.slice(0, at) + script.slice(at + length),
          script.slice(0, at) + pick(pieces) + script.slice(at),
          script.slice(0, at),
          script.slice(0, at) + script.slice(at + length, at + 2 * length) + script.slice(at),
        ];
        script = pick(change);
      }
      try {
        for await (const chunk of runFlux(store, script, { dialect, now: 1_725_580_800_000_000_000n }))
          expect(typeof chunk).toBe('string');
      } catch (error) {
        if (!(error instanceof FluxError)) throw new Error(`${JSON.stringify(script)} broke it`, { cause: error });
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(25_000);
  }, 120_000);
});
