import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, startEmbedded } from './embedded.ts';
import { recorded } from './recorded.ts';

describe('Flux, as a real InfluxDB answered it', () => {
  let embedded: Awaited<ReturnType<typeof startEmbedded>>;
  beforeAll(async () => {
    embedded = await startEmbedded();
  });
  afterAll(() => embedded?.stop());

  it.each(recorded.map(({ query, ...answer }) => [query, answer] as const))('%s', async (query, expected) => {
    const { status, text } = await ask(embedded, query);
    expect({ status, text: text.replaceAll('\r\n', '\n').trimEnd() }).toEqual(expected);
  });

  it.each([
    ['|> holtWinters(n: 1, interval: 1d)', 'error @2:4-2:15: undefined identifier holtWinters'],
    ['|> aggregateWindow(every: 1d, fn: percentile)', 'error @2:35-2:45: undefined identifier percentile'],
    ['|> range(start: 0) |> map(fn: (r) => ({r with x: strings.toUpper(v: r.x)}))', 'undefined identifier strings'],
  ])('names the function that is not there, and its place: %s', async (step, message) => {
    const { status, text } = await ask(embedded, `from(bucket: "measure")\n${step}`);
    expect(status).toBe(400);
    expect(JSON.parse(text)).toMatchObject({ code: 'invalid', message: expect.stringContaining(message) });
  });
});
