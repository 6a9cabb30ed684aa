import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TopicIndex, topicFilterProblem, withoutShare } from '../../src/core/topic-filter.ts';

/** The matching rules of MQTT 5, 4.7, written down a second time and slowly. */
function matches(filter: string, topic: string): boolean {
  const wanted = filter.split('/');
  const levels = topic.split('/');
  if (topic.startsWith('$') && /^[+#]/.test(filter)) return false;
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === '#') return levels.length >= i;
    if (i >= levels.length) return false;
    if (wanted[i] !== '+' && wanted[i] !== levels[i]) return false;
  }
  return wanted.length === levels.length;
}

const level = fc.constantFrom('', 'a', 'b', '$SYS', 'ä');
const topic = fc.array(level, { minLength: 1, maxLength: 5 }).map((levels) => levels.join('/'));
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 0, maxLength: 4 }), fc.constantFrom([], ['#'], ['a']))
  .map(([head, tail]) => [...head, ...tail].join('/'))
  .filter((text) => text !== '');

describe('TopicIndex', () => {
  it('finds exactly the filters that match a topic', () => {
    fc.assert(
      fc.property(fc.uniqueArray(filter, { minLength: 1, maxLength: 12 }), topic, (filters, topic) => {
        const index = new TopicIndex(filters.map((each) => [each, each] as const));
        expect(index.match(topic).toSorted()).toEqual(filters.filter((each) => matches(each, topic)).toSorted());
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['#', 'a/b', true],
    ['#', '$SYS/broker/uptime', false],
    ['+/broker/uptime', '$SYS/broker/uptime', false],
    ['$SYS/#', '$SYS/broker/uptime', true],
    ['a/#', 'a', true],
    ['a/+', 'a', false],
    ['a/+', 'a/', true],
    ['+', '/', false],
    ['+/+', '/', true],
    ['$share/group/a/+', 'a/b', true],
  ])('%s matches %s: %s', (filter, topic, expected) => {
    expect(new TopicIndex([[filter, 1]]).match(topic).length).toBe(expected ? 1 : 0);
  });

  it('gives every value of one filter', () => {
    expect(
      new TopicIndex([
        ['a', 1],
        ['a', 2],
      ]).match('a'),
    ).toEqual([1, 2]);
  });
});

describe('topicFilterProblem', () => {
  it.each(['a', '#', '+', 'a/+/#', '/', '$share/g/a', '$SYS/#', 'a b/ä'])('accepts %s', (filter) => {
    expect(topicFilterProblem(filter)).toBeUndefined();
  });
  it.each(['', 'a#', '#/a', 'a+/b', 'a\0', '$share/g', '$share//a', '$share/+/a', 'x'.repeat(65_536)])(
    'refuses %j',
    (filter) => {
      expect(topicFilterProblem(filter)).toMatch(/must/);
    },
  );
});

describe('withoutShare', () => {
  it('strips the group of a shared subscription', () => {
    expect(withoutShare('$share/group/a/b')).toBe('a/b');
    expect(withoutShare('a/b')).toBe('a/b');
  });
});
