import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import type { Ledger } from './ledger.ts';
import { DEVICES, deviceOf, MEASUREMENT, numberOf } from './readings.ts';
import { INFLUX, type Site } from './site.ts';

/** Counts the points of every reading in InfluxDB. */
export async function countPoints(url: string, ledger: Ledger): Promise<void> {
  for (let device = 0; device < DEVICES; device++) {
    for (const kind of ['timed', 'untimed'] as const) {
      const flux = `from(bucket: "${INFLUX.bucket}") |> range(start: 0, stop: 2100-01-01T00:00:00Z)
        |> filter(fn: (r) => r._measurement == "${MEASUREMENT}" and r.device_fingerprint == "${deviceOf(kind, device)}")
        |> keep(columns: ["_value"])`;
      for await (const value of values(url, flux)) ledger.point(value);
    }
  }
}

async function* values(url: string, flux: string): AsyncGenerator<number> {
  const response = await fetch(`${url}/api/v2/query?org=${INFLUX.org}`, {
    method: 'POST',
    headers: { authorization: `Token ${INFLUX.token}`, 'content-type': 'application/vnd.flux' },
    body: flux,
  });
  if (!response.ok || !response.body) throw new Error(`the query failed: ${response.status} ${await response.text()}`);
  let column: number | undefined;
  // A line end may come in two pieces, however far apart.
  const lines = createInterface({
    input: Readable.fromWeb(response.body as ReadableStream),
    crlfDelay: Number.POSITIVE_INFINITY,
  });
  for await (const line of lines) {
    const cells = line.split(',');
    if (line === '') column = undefined;
    else if (column !== undefined) yield Number(cells[column]);
    else column = cells.indexOf('_value');
    if (column === -1) throw new Error(`an unexpected answer: ${line}`);
  }
}

/** Counts the parked messages of every reading, as the provider lists them. */
export async function countParked({ ask }: Site, ledger: Ledger): Promise<void> {
  for (let skip = 0; ; ) {
    const { parked } = await ask<{ parked: Array<{ id: string }> }>(`/parked?skip=${skip}&limit=1000`);
    for (const { id } of parked) ledger.parked(numberOf((await ask<{ body: string }>(`/parked/${id}`)).body));
    if (parked.length === 0) return;
    skip += parked.length;
  }
}
