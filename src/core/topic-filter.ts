/** MQTT topic filters: validation and matching (MQTT 5, 4.7 and 4.8.2). */

const MAX_FILTER_BYTES = 65_535;

/** What is wrong with a topic filter, as a sentence; undefined for a valid one. */
export function topicFilterProblem(filter: string): string | undefined {
  if (filter === '') return 'a topic filter must not be empty';
  if (Buffer.byteLength(filter) > MAX_FILTER_BYTES)
    return `a topic filter must not be longer than ${MAX_FILTER_BYTES} bytes`;
  if (filter.includes('\0')) return 'a topic filter must not contain the character U+0000';
  const levels = filter.split('/');
  if (levels[0] === '$share') {
    if (!levels[1] || /[+#]/.test(levels[1])) return '$share must be followed by a group name without + or #';
    if (levels.length < 3 || levels.slice(2).join('/') === '') return '$share/GROUP must be followed by a topic filter';
  }
  for (const [index, level] of levels.entries()) {
    if (level.includes('#') && (level !== '#' || index !== levels.length - 1)) {
      return '# must stand alone in the last level';
    }
    if (level.includes('+') && level !== '+') return '+ must stand alone in its level';
  }
  return undefined;
}

/** The filter that a shared subscription (`$share/GROUP/FILTER`) matches with. */
export function withoutShare(filter: string): string {
  return filter.startsWith('$share/') ? filter.slice(filter.indexOf('/', '$share/'.length) + 1) : filter;
}

interface Level<T> {
  readonly children: Map<string, Level<T>>;
  readonly values: T[];
}

const MAX_REMEMBERED_TOPICS = 10_000;

/** Which values are wanted for a topic: an index of topic filters, one tree level per topic level. */
export class TopicIndex<T> {
  readonly #root: Level<T> = { children: new Map(), values: [] };
  readonly #remembered = new Map<string, readonly T[]>();

  constructor(entries: Iterable<readonly [filter: string, value: T]> = []) {
    for (const [filter, value] of entries) this.#add(filter, value);
  }

  #add(filter: string, value: T): void {
    let level = this.#root;
    for (const name of withoutShare(filter).split('/')) {
      let child = level.children.get(name);
      if (!child) {
        child = { children: new Map(), values: [] };
        level.children.set(name, child);
      }
      level = child;
    }
    level.values.push(value);
  }

  /** The values of all filters that match `topic`; a filter that matches gives its value once. */
  match(topic: string): readonly T[] {
    const known = this.#remembered.get(topic);
    if (known) return known;
    const found: T[] = [];
    const levels = topic.split('/');
    // A wildcard in the first level does not match topics that start with $ (4.7.2).
    collect(this.#root, levels, 0, topic.startsWith('$'), found);
    if (this.#remembered.size >= MAX_REMEMBERED_TOPICS) this.#remembered.clear();
    this.#remembered.set(topic, found);
    return found;
  }
}

function collect<T>(level: Level<T>, topic: string[], depth: number, hidden: boolean, found: T[]): void {
  if (!hidden) {
    // `a/#` matches `a` itself too (4.7.1.2).
    const all = level.children.get('#');
    if (all) found.push(...all.values);
  }
  if (depth === topic.length) {
    found.push(...level.values);
    return;
  }
  const named = level.children.get(topic[depth]!);
  if (named) collect(named, topic, depth + 1, false, found);
  const any = hidden ? undefined : level.children.get('+');
  if (any) collect(any, topic, depth + 1, false, found);
}
