import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { alarms } from './alarms.ts';
import { backlog } from './backlog.ts';
import { center } from './center.ts';
import { durability } from './durability.ts';
import { forecastSkill } from './forecast.ts';
import { influxdb } from './influxdb.ts';
import { live } from './live.ts';
import { memory } from './memory.ts';
import { openwhisk } from './openwhisk.ts';
import { registrations } from './registrations.ts';
import { site } from './site.ts';
import { start } from './start.ts';
import { steady } from './steady.ts';
import { NODE_RED_VERSION } from './subjects/node-red.ts';
import { findProgram } from './support/processes.ts';
import { topOfProfiles } from './support/profile.ts';
import type { Row } from './support/row.ts';
import { Sink } from './support/sink.ts';
import { Table } from './support/table.ts';
import { window } from './window.ts';
import { workdir } from './workdir.ts';

const ROWS: Record<string, { title: string; run: Row }> = {
  live: { title: 'Live, QoS 1, through Mosquitto', run: live },
  backlog: { title: 'Backlog of a persistent session', run: backlog },
  window: { title: 'Strict window of 20, platform answers after 10 ms', run: window },
  steady: { title: '10,000 messages per second', run: steady },
  memory: { title: 'Memory', run: memory },
  registrations: { title: 'Many registrations', run: registrations },
  alarms: { title: 'Ten thousand alarms', run: alarms },
  center: { title: 'A hundred sites and their center', run: center },
  start: { title: 'Start', run: start },
  durability: { title: 'Durability', run: durability },
  site: { title: 'Whole embedded site', run: site },
  influxdb: { title: 'Embedded InfluxDB', run: influxdb },
  openwhisk: { title: 'Embedded OpenWhisk', run: openwhisk },
  workdir: { title: 'Working directories', run: workdir },
  forecast: { title: 'Skill of the lake forecast', run: forecastSkill },
};
const USAGE = `usage: npm run bench -- [ROW...] [--quick] [--long] [--repetitions N] [--out FILE] [--profile FOLDER]
rows: ${Object.keys(ROWS).join(', ')}; all if none is named
--quick        one repetition of small sizes
--long         with the hour of memory
--repetitions  5 by default
--out          also write the table to this file
--profile      write CPU profiles of the provider there, and tell where its time goes`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    long: { type: 'boolean', default: false },
    repetitions: { type: 'string' },
    out: { type: 'string' },
    profile: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const unknown = positionals.filter((name) => !(name in ROWS));
if (options.help || unknown.length > 0) {
  console.error(unknown.length > 0 ? `no such row: ${unknown.join(', ')}\n${USAGE}` : USAGE);
  process.exit(options.help ? 0 : 2);
}

const sink = await Sink.start();
const repetitions = Number(options.repetitions ?? (options.quick ? 1 : 5));
const sections: string[] = [];
const say = (section: string) => {
  sections.push(section);
  process.stdout.write(`${section}\n`);
};
say(heading());
for (const name of positionals.length > 0 ? positionals : Object.keys(ROWS)) {
  const { title, run } = ROWS[name]!;
  const profileTo = options.profile && `${options.profile}/${name}`;
  if (profileTo) mkdirSync(profileTo, { recursive: true });
  const table = new Table();
  try {
    await run({ quick: options.quick, long: options.long, repetitions, profileTo, sink }, table);
  } catch (error) {
    // What was measured before is worth showing; the other rows too.
    say(`**${name} failed:** ${(error as Error).message}\n`);
    console.error(error);
    process.exitCode = 1;
  }
  say(table.markdown(title));
  if (profileTo) say(topOfProfiles(profileTo));
}
await sink[Symbol.asyncDispose]();

if (options.out) writeFileSync(options.out, sections.join('\n'));

/** What was measured where, and when. */
function heading(): string {
  const [cpu] = cpus();
  const lines = [
    `${cpus().length} x ${cpu?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, load ${loadavg()[0]!.toFixed(1)} at the start`,
    `Node.js ${process.version}; ${versionOf('mosquitto', '-h')}; ${versionOf('telegraf', '--version')}; ${versionOf('influxd', 'version')}; Node-RED ${NODE_RED_VERSION}`,
    `${new Date().toISOString()}, ${options.quick ? 'quick, ' : ''}${repetitions} repetition${repetitions === 1 ? '' : 's'}`,
  ];
  return `## Benchmark\n\n${lines.map((line) => `- ${line}`).join('\n')}\n`;
}

function versionOf(name: string, flag: string): string {
  const path = findProgram(name);
  if (!path) return `no ${name}`;
  try {
    return firstLine(execFileSync(path, [flag], { encoding: 'utf8' }));
  } catch (error) {
    return firstLine((error as { stdout: string }).stdout); // mosquitto -h ends with 3
  }
}

function firstLine(text: string): string {
  return text.split(/\n| \(git/, 1)[0]!.trim();
}
