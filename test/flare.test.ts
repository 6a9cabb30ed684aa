import { writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { cyclesOf, FlareSite, PROGRAMS } from './support/flare-site.ts';
import { actionHosts, kill } from './support/processes.ts';

/** FLARE's whole workflow on the embedded site, with small stand-ins for the science. */

describe('the workflow of FLARE', () => {
  test('runs for two lakes and two cycles at once, step after step', async () => {
    const flare = await FlareSite.start();
    const first = await flare.command('deploy', flare.lakes);
    expect(first).toMatch(/^created {4}trigger {2}flare-download-noaa-alarm-fcre$/m);
    expect(first).toMatch(/^created {4}rule {5}flare-drivers-ready-bvre-rule$/m);
    const again = await flare.command('deploy', flare.lakes);
    expect(again).not.toMatch(/^(created|updated)/m);
    expect(again).toMatch(/^unchanged {2}trigger {2}flare-forecast-ready-bvre$/m);

    const cycles = cyclesOf(['2020-05-22', '2020-05-23']);
    await flare.begin(cycles);
    await flare.completed(cycles, 100_000);
    for (const cycle of cycles) await flare.expectWhole(cycle);

    const ran = await flare.ran();
    for (const { lake, cycle } of cycles) {
      const at = (what: string, container: string) => ran.indexOf(`${what} ${lake} ${cycle} ${container}`);
      for (const [container, dependencies] of Object.entries(PROGRAMS)) {
        for (const dependency of dependencies) expect(at('begin', container)).toBeGreaterThan(at('end', dependency));
      }
    }
    expect(ran).toHaveLength(2 * Object.keys(PROGRAMS).length * cycles.length);
    const status = await flare.command('status', '--lakes', flare.lakes, '--lake', 'fcre');
    expect(status).toMatch(/^fcre {2}2020-05-22 {2}flare-generate-forecast +done +[\d.]+ s$/m);

    // A kill may keep the compound trigger from writing down that it has told the next step.
    const { firedAt, ...untold } = await flare.document('fcre:2020-05-22:compound-trigger');
    expect(firedAt).toEqual(expect.any(String));
    await flare.put(untold);
    expect((await flare.status()).filter(({ state }) => state !== 'done')).toEqual([]);

    // Another ring for the cycle: what is done stays done.
    await flare.begin(cycles);
    await flare.site.settled(0);
    expect(await flare.ran()).toEqual(ran);
  }, 120_000);

  test('begins a step by hand, again if that is forced, and passes through functions 1 to 4', async () => {
    const flare = await FlareSite.start();
    const workflow = `
steps:
  flare:
    program: [./functions.sh]
    functions: [1, 2, 3, 4]
    alarm: '0 0 29 2 *'
    container-dependencies: flare
    config: { forecast_code: none }
lakes: { fcre: {} }`;
    await writeFile(flare.lakes, workflow);
    await flare.command('deploy', flare.lakes);
    const start = (...words: string[]) =>
      flare.command(
        'start',
        '--lakes',
        flare.lakes,
        '--lake',
        'fcre',
        '--container',
        'flare',
        '--cycle',
        '2020-05-22',
        ...words,
      );
    const ended = async () => {
      await flare.site.settled(0);
      return (await flare.status()).filter(({ state }) => state === 'done').map(({ step }) => step);
    };
    const functions = [1, 2, 3, 4].map((n) => `flare-function-${n}`);
    expect(await start()).toBe('flare-alarm-fcre is fired\n');
    expect(await ended()).toEqual(expect.arrayContaining(functions));
    const log = () => flare.content({ lake: 'fcre', cycle: '2020-05-22' }, 'flare', 'log.txt');
    const lines = functions.map((_, n) => `function ${n + 1} of  (), default, configure_run.yml`);
    expect((await log()).trim().split('\n')).toEqual(lines);
    await start();
    await ended();
    expect((await log()).trim().split('\n')).toHaveLength(4);
    await start('--force');
    await ended();
    expect((await log()).trim().split('\n')).toEqual([...lines, ...lines]);
  }, 100_000);

  test('completes each of twenty cycles once, whatever is killed', async () => {
    const flare = await FlareSite.start();
    await flare.command('deploy', flare.lakes);
    const cycles = cyclesOf(Array.from({ length: 10 }, (_, n) => `2020-05-${10 + n}`));
    await flare.begin(cycles);
    const begun = Date.now();
    let kills = 0;
    while (Date.now() - begun < 40_000) {
      await new Promise((resolve) => setTimeout(resolve, 1_500 + Math.random() * 4_000));
      const hosts = actionHosts(flare.site.provider.pid);
      const host = hosts[Math.floor(Math.random() * hosts.length)];
      if (kills++ % 2 === 0 || host === undefined) await flare.site.restart('SIGKILL');
      else kill(host);
    }
    await flare.completed(cycles, 180_000);
    const { parked, expired } = await flare.site.settled(0);
    expect({ parked, expired }).toEqual({ parked: 0, expired: 0 });
    expect((await flare.status()).filter(({ state }) => state !== 'done')).toEqual([]);
    for (const cycle of cycles) await flare.expectWhole(cycle);
    const ends = (await flare.ran()).filter((line) => line.startsWith('end')).length;
    const steps = cycles.length * Object.keys(PROGRAMS).length;
    console.info(`${kills} kills, ${ends} runs for ${steps} steps, ${Date.now() - begun} ms`);
    expect(ends).toBeGreaterThanOrEqual(steps);
  }, 300_000);
});
