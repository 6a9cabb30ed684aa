/**
 * The two orders of CouchDB: document ids by their UTF-8 bytes, view keys by type and then by ICU's root collation
 * (https://docs.couchdb.org/en/stable/ddocs/views/collation.html).
 */

/** Orders strings as their UTF-8 bytes do, which differs from JavaScript's order above U+D7FF. */
export function compareIds(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    const xIsSurrogate = x >= 0xd800 && x <= 0xdfff;
    const yIsSurrogate = y >= 0xd800 && y <= 0xdfff;
    // A surrogate stands for a code point above all others of the basic plane.
    if (xIsSurrogate !== yIsSurrogate) return xIsSurrogate ? 1 : -1;
    return x - y;
  }
  return a.length - b.length;
}

const root = new Intl.Collator('und');

/** null < false < true < numbers < strings < arrays < objects; an absent key is below all. */
export function compareKeys(a: unknown, b: unknown): number {
  const rankA = rank(a);
  const rankB = rank(b);
  if (rankA !== rankB) return rankA - rankB;
  if (typeof a === 'number') return a - (b as number);
  if (typeof a === 'string') return root.compare(a, b as string) || compareIds(a, b as string);
  if (Array.isArray(a)) return compareLists(a, b as unknown[]);
  if (rankA === OBJECT) {
    return compareLists(Object.entries(a as object).flat(), Object.entries(b as object).flat());
  }
  return 0;
}

function compareLists(a: unknown[], b: unknown[]): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const order = compareKeys(a[i], b[i]);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

const OBJECT = 7;

function rank(value: unknown): number {
  if (value === undefined) return 0;
  if (value === null) return 1;
  if (typeof value === 'boolean') return value ? 3 : 2;
  if (typeof value === 'number') return 4;
  if (typeof value === 'string') return 5;
  return Array.isArray(value) ? 6 : OBJECT;
}
