import { afterAll, beforeAll, expect, it } from 'vitest';
import { type AnnotatedTable, parseAnnotatedCsv, withSortedColumns } from '../embedded/influxdb/flux/annotated-csv.ts';
import { corpus } from '../embedded/influxdb/flux/corpus.ts';
import { ask, startEmbedded, type Target, writeCorpus } from '../embedded/influxdb/flux/embedded.ts';
import { type Influxd, startInfluxd } from '../support/influxd.ts';
import { describeWith } from '../support/programs.ts';

/** Where the embedded InfluxDB answers otherwise on purpose, and why. */
const differences: ReadonlyMap<string, string> = new Map([
  ['|> set(key: "_value", value: "v")', 'the real one panics when `set` changes the type of a column; we change it'],
]);

interface Answer {
  readonly status: number;
  readonly code?: string;
  readonly tables?: readonly AnnotatedTable[];
}

async function answerOf(target: Target, query: string): Promise<Answer> {
  const { status, text } = await ask(target, query);
  if (status !== 200) return { status, code: (JSON.parse(text) as { code: string }).code };
  const tables = parseAnnotatedCsv(text);
  // In the real one, the order of the columns that a `map` adds changes from run to run.
  return { status, tables: query.includes('|> map(') ? tables.map(withSortedColumns) : tables };
}

describeWith(['influxd'], 'Flux of the embedded InfluxDB against a real one', () => {
  let real: Influxd;
  let embedded: Awaited<ReturnType<typeof startEmbedded>>;

  beforeAll(async () => {
    [real, embedded] = await Promise.all([startInfluxd(), startEmbedded()]);
    const headers = { authorization: `Token ${real.token}` };
    const orgs = (await (await fetch(`${real.url}/api/v2/orgs`, { headers })).json()) as { orgs: { id: string }[] };
    const bucket = JSON.stringify({ name: 'aggregates', orgID: orgs.orgs[0]!.id, retentionRules: [] });
    await fetch(`${real.url}/api/v2/buckets`, { method: 'POST', headers, body: bucket });
    await writeCorpus(real);
  });

  afterAll(async () => {
    await Promise.all([real?.stop(), embedded?.stop()]);
  });

  it('has a corpus worth the name', () => {
    expect(corpus.length).toBeGreaterThan(200);
  });

  it.each(corpus.map((query) => [query]))('%s', async (query) => {
    const [expected, answer] = await Promise.all([answerOf(real, query), answerOf(embedded, query)]);
    const reason = [...differences].find(([part]) => query.includes(part))?.[1];
    if (reason) expect(answer, reason).not.toEqual(expected);
    else expect(answer).toEqual(expected);
  });
});
