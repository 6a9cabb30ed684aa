import { Influxdb } from './subjects/influxdb.ts';
import { TOOLS } from './support/paths.ts';
import { Child, findProgram, residentMegabytes } from './support/processes.ts';
import { type Plan, progress } from './support/row.ts';
import { atLeast, atMost, median, type Table } from './support/table.ts';

const LINES = 1_000;
const CONNECTIONS = 4;
const DAYS = 84;
const QUERIES = 5;

/** Daily means over all series: one row per day. */
const DAILY_MEANS = `from(bucket: "measure")
  |> range(start: -${DAYS + 1}d)
  |> filter(fn: (r) => r._measurement == "temperature" and r._field == "value")
  |> group()
  |> aggregateWindow(every: 1d, fn: mean, createEmpty: false)`;

/** The embedded InfluxDB and a real one: durable writes, a windowed aggregate, and memory after both. */
export async function influxdb(plan: Plan, table: Table): Promise<void> {
  if (!findProgram('influxd')) progress('influxdb: without the real one: influxd is not on PATH');
  for (let repetition = 0; repetition < plan.repetitions; repetition++) {
    progress(`influxdb ${repetition + 1}: embedded`);
    await measure('embedded', await Influxdb.startEmbedded(), plan, table);
    if (!findProgram('influxd')) continue;
    progress(`influxdb ${repetition + 1}: influxd`);
    await measure('influxd', await Influxdb.startReal(), plan, table);
  }
  table.ratio('embedded', 'points/s', 'influxd', atLeast(1));
  table.ratio('embedded', `ms per aggregate`, 'influxd', atMost(0.3));
  table.ratio('embedded', 'MB', 'influxd', atMost(0.7));
}

async function measure(name: string, database: Influxdb, { quick }: Plan, table: Table): Promise<void> {
  await using _ended = database;
  const { url, token } = database.writeEndpoint;
  const points = quick ? 100_000 : 500_000;
  const values = { url, token, points, lines: LINES, connections: CONNECTIONS, days: DAYS };
  const flags = Object.entries(values).map(([flag, value]) => `-${flag}=${value}`);
  await using writer = new Child(TOOLS, ['write', ...flags]);
  const { seconds } = await writer.nextResult<{ seconds: number }>();
  table.note(name, 'points/s', points / seconds);

  const times: number[] = [];
  for (let n = 0; n < QUERIES; n++) {
    const started = performance.now();
    const windows = (await database.query(DAILY_MEANS)).match(/^,.*,\d+\.\d+\b.*$/gm)?.length ?? 0;
    times.push(performance.now() - started);
    // The first and the last day are cut by the range.
    if (windows < DAYS || windows > DAYS + 2) throw new Error(`${name} answers ${windows} windows of ${DAYS} days`);
  }
  table.note(name, 'ms for the first aggregate', times[0]!);
  table.note(name, 'ms per aggregate', median(times));
  table.note(name, 'MB', residentMegabytes(database.pid, 'now'));
}
