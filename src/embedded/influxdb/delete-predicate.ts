import { ApiError } from './api-error.ts';
import type { Series } from './store.ts';

/**
 * The predicate of `POST /api/v2/delete`: comparisons of tags (or `_measurement`) by `=` or `!=`, joined by AND,
 * in parentheses at will; `_measurement="room" AND device != "a"`. A series without the tag matches neither.
 */

interface Rule {
  readonly key: string;
  readonly negated: boolean;
  readonly value: string;
}

interface Token {
  readonly kind: 'name' | 'string' | 'number' | 'operator' | 'end' | 'other';
  readonly text: string;
  readonly position: number;
}

const TOKEN = new RegExp(
  [
    /(?<quoted>"(?:[^"\\\n]|\\.)*")/,
    /(?<string>'(?:[^'\\\n]|\\.)*')/,
    /(?<name>[\p{L}_][\p{L}\p{N}_]*)/u,
    /(?<number>\d+(?:\.\d+)?[a-zµ]*)/,
    /(?<operator>=~|!~|!=|<>|<=|>=|[=<>()-])/,
    /(?<other>.)/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'gsu',
);

/** Reads a predicate into a test for series; an empty one picks all. @throws ApiError */
export function parsePredicate(text: string): (series: Series) => boolean {
  const rules = parseRules(tokenize(text));
  return (series) => {
    return rules.every(({ key, negated, value }) => {
      const actual = key === '_measurement' ? series.measurement : series.tags.get(key);
      return actual !== undefined && (actual === value) !== negated;
    });
  };
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  for (const { groups, index, 0: matched } of text.matchAll(TOKEN)) {
    if (matched.trim() === '') continue;
    if (groups?.quoted !== undefined) {
      tokens.push({ kind: 'name', text: matched.slice(1, -1).replace(/\\(.)/g, '$1'), position: index });
    } else {
      const kind = (['string', 'name', 'number', 'operator'] as const).find((group) => groups?.[group] !== undefined);
      // InfluxDB's reader counts a string from the character before it.
      tokens.push({ kind: kind ?? 'other', text: matched, position: kind === 'string' ? index - 1 : index });
    }
  }
  tokens.push({ kind: 'end', text: '', position: text.length });
  return tokens;
}

function parseRules(tokens: Token[]): Rule[] {
  const rules: Rule[] = [];
  let open = 0;
  let next = 0;
  const take = () => tokens[Math.min(next++, tokens.length - 1)]!;
  if (tokens[0]!.kind === 'end') return rules;
  for (;;) {
    let token = take();
    for (; token.text === '(' && token.kind === 'operator'; token = take()) open++;
    rules.push(parseRule(token, take));
    token = take();
    for (; token.text === ')' && token.kind === 'operator'; token = take()) open--;
    if (open < 0) throw new ApiError('invalid', 'extra ) seen');
    if (token.kind === 'end') break;
    const word = token.kind === 'name' ? token.text.toUpperCase() : '';
    if (word === 'OR') {
      throw new ApiError('invalid', `the logical operator OR is not supported yet at position ${token.position}`);
    }
    if (word !== 'AND') throw new ApiError('invalid', `bad logical expression, at position ${token.position}`);
  }
  if (open > 0) throw new ApiError('invalid', 'extra ( seen');
  return rules;
}

function parseRule(key: Token, take: () => Token): Rule {
  if (key.kind !== 'name') throw new ApiError('invalid', `bad logical expression, at position ${key.position}`);
  const operator = take();
  if (operator.text === '=~' || operator.text === '!~') {
    const message = `operator: "${operator.text}" at position: ${operator.position} is not supported yet`;
    throw new ApiError('invalid', message);
  }
  if (operator.text !== '=' && operator.text !== '!=' && operator.text !== '<>') {
    throw new ApiError('invalid', `invalid operator "${operator.text || 'EOF'}" at position: ${operator.position}`);
  }
  let value = take();
  let sign = '';
  for (; value.text === '-' && value.kind === 'operator'; value = take()) sign = '-';
  if (value.kind !== 'name' && value.kind !== 'number') {
    const text = value.kind === 'string' ? value.text.slice(1, -1) : value.text;
    throw new ApiError('invalid', `bad tag value: ${JSON.stringify(text)}, at position ${value.position}`);
  }
  if (key.text === '_field' && operator.text === '=') {
    throw new ApiError('not implemented', 'delete by field is not supported');
  }
  return { key: key.text, negated: operator.text !== '=', value: sign + value.text };
}
