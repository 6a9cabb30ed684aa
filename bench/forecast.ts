import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Climatology } from '../actions/flareForecast/climatology.ts';
import { DAY_MS, type DailyMean, DailySeries } from '../actions/flareForecast/daily-series.ts';
import { type Calibration, calibrate, HORIZON } from '../actions/flareForecast/damped-anomaly.ts';
import { forecast } from '../actions/flareForecast/ensemble.ts';
import { crpsOfEnsemble, quantile } from '../actions/flareForecast/scores.ts';
import type { Row } from './support/row.ts';
import { atLeast, atMost, type Goal, type Table } from './support/table.ts';

/** A real lake's daily record; it lies beside the repository and is not part of it. */
const RECORD = join('..', 'shared', 'data', 'fcre', 'fcre_targets_daily_2018-07-06_2020-12-31.csv');
const CALIBRATED_UNTIL = '2019-12-31';
const SCORED_UNTIL = '2020-12-31';
/** The model was made while its figures for 2020 were looked at; so they are computed the other way round too. */
const EXCHANGED_UNTIL = '2019-06-30';
const EXCHANGE_DAYS = 3 * 365 + 1;
/** What the forecast does on a young record, each day calibrated on what was known then. */
const YOUNG = [
  ['half a year known', '2019-01-01', '2019-06-30'],
  ['the first year known', '2019-07-10', '2019-12-31'],
] as const;

/** The water temperatures of the real record, or undefined where it is absent. */
export function readRecord(): DailySeries | undefined {
  if (!existsSync(RECORD)) return undefined;
  const [, ...lines] = readFileSync(RECORD, 'utf8').trim().split('\n');
  return DailySeries.of(
    lines
      .map((line) => line.split(','))
      .filter(([, , , variable]) => variable === 'temperature')
      .map(
        ([time, , depth, , value]): DailyMean => ({ day: dayOf(time!), depth: Number(depth), value: Number(value) }),
      ),
  );
}

export function dayOf(date: string): number {
  return Math.floor(Date.parse(date) / DAY_MS);
}

/** How one way of forecasting did, over forecasts that share a horizon or a depth. */
class Score {
  #count = 0;
  #crps = 0;
  #squares = 0;
  #covered = 0;

  /** @param sorted the members of an ensemble in ascending order */
  add(sorted: readonly number[], seen: number): void {
    this.#count += 1;
    this.#crps += crpsOfEnsemble(sorted, seen);
    this.#squares += (sorted.reduce((sum, member) => sum + member, 0) / sorted.length - seen) ** 2;
    if (seen >= quantile(sorted, 0.05) && seen <= quantile(sorted, 0.95)) this.#covered += 1;
  }

  get count(): number {
    return this.#count;
  }

  get crps(): number {
    return this.#crps / this.#count;
  }

  get rmse(): number {
    return Math.sqrt(this.#squares / this.#count);
  }

  /** The share of observations in the 90 % interval. */
  get coverage(): number {
    return this.#covered / this.#count;
  }
}

/** Ours and what it is measured against, on the same days. */
export class Skill {
  readonly model = new Score();
  /** The last value and the changes of the past over as many days at this depth, in both directions. */
  readonly persistence = new Score();
  /** The last value alone; its CRPS is its mean absolute error. */
  readonly lastValue = new Score();
  /** The season of the past, fitted as the model fits it, and the deviations of the past from it. */
  readonly climatology = new Score();
}

export interface Hindcast {
  readonly all: Skill;
  readonly byHorizon: readonly Skill[];
  readonly byDepth: ReadonlyMap<number, Skill>;
}

export interface HindcastOptions {
  /** The last day that the calibration sees; undefined calibrates each day anew on all that was known then. */
  readonly calibratedUntil: number | undefined;
  /** The first and the last day with an observation that a forecast starts from. */
  readonly from: number;
  readonly to: number;
  /** Days from start to start. */
  readonly every: number;
}

/** Forecasts from past days, each from what was known then, scored on what was observed later. */
export function hindcast(record: DailySeries, { calibratedUntil, from, to, every }: HindcastOptions): Hindcast {
  const all = new Skill();
  const byHorizon = Array.from({ length: HORIZON }, () => new Skill());
  const byDepth = new Map(record.depths.map((depth) => [depth, new Skill()]));
  let calibration: Calibration | undefined;
  let changes: number[][][] = [];
  let deviations: number[][] = [];
  for (let start = from; start < to; start += every) {
    const known = record.until(start)!;
    if (!calibration || calibratedUntil === undefined) {
      const past = calibratedUntil === undefined ? known : record.until(calibratedUntil)!;
      calibration = calibrate(past);
      changes = past.depths.map((_, depth) => horizons((horizon) => changesOver(past, depth, horizon)));
      deviations = calibration.climatologies.map((each, depth) => deviationsFrom(each, past, depth));
    }
    for (const { depth: metres, persistence, members } of forecast(calibration, known, start + 1, `${start}`).depths) {
      const depth = record.depths.indexOf(metres);
      // an older value than that of the start would be another horizon
      if (Number.isNaN(record.at(depth, start))) continue;
      for (let horizon = 1; horizon <= HORIZON && start + horizon <= to; horizon++) {
        const seen = record.at(depth, start + horizon);
        if (Number.isNaN(seen)) continue;
        const sorted = members.map((member) => member[horizon - 1]!).sort((a, b) => a - b);
        const season = calibration.climatologies[depth]!.on(start + horizon);
        for (const skill of [all, byHorizon[horizon - 1]!, byDepth.get(metres)!]) {
          skill.model.add(sorted, seen);
          skill.persistence.add(changes[depth]![horizon - 1]!, seen - persistence);
          skill.lastValue.add([persistence], seen);
          skill.climatology.add(deviations[depth]!, seen - season);
        }
      }
    }
  }
  return { all, byHorizon, byDepth };
}

/** The same record as if its first year came after the others. */
function withFirstYearLast(record: DailySeries): DailySeries {
  const means: DailyMean[] = [];
  for (let day = record.firstDay; day <= record.lastDay; day++) {
    const later = day <= dayOf(EXCHANGED_UNTIL) ? day + EXCHANGE_DAYS : day;
    record.depths.forEach((depth, index) => void means.push({ day: later, depth, value: record.at(index, day) }));
  }
  return DailySeries.of(means)!;
}

function horizons<T>(make: (horizon: number) => T): T[] {
  return Array.from({ length: HORIZON }, (_, at) => make(at + 1));
}

function changesOver(series: DailySeries, depth: number, days: number): number[] {
  const changes: number[] = [];
  for (let day = series.firstDay; day + days <= series.lastDay; day++) {
    const change = series.at(depth, day + days) - series.at(depth, day);
    if (!Number.isNaN(change)) changes.push(change, -change);
  }
  return changes.sort((a, b) => a - b);
}

/** How far the days of the past lay from their season. */
function deviationsFrom(climatology: Climatology, series: DailySeries, depth: number): number[] {
  const deviations: number[] = [];
  for (let day = series.firstDay; day <= series.lastDay; day++) {
    const deviation = series.at(depth, day) - climatology.on(day);
    if (!Number.isNaN(deviation)) deviations.push(deviation);
  }
  return deviations.sort((a, b) => a - b);
}

/** The skill of `flareForecast` on the real lake: calibrated on the one part of the record, scored on the other. */
export const forecastSkill: Row = async ({ quick }, table) => {
  const record = readRecord();
  if (!record) throw new Error(`the record ${RECORD} is not there`);
  const days = { from: dayOf(CALIBRATED_UNTIL) + 1, to: dayOf(SCORED_UNTIL), every: quick ? 8 : 1 };
  const frozen = hindcast(record, { ...days, calibratedUntil: dayOf(CALIBRATED_UNTIL) });
  const tables = [
    skillTable(
      'day',
      [...frozen.byHorizon.entries()].map(([at, skill]) => [at + 1, skill]),
    ),
    skillTable('depth (m)', [...frozen.byDepth]),
  ];
  process.stdout.write(`${tables.join('\n')}\n`);
  note(`calibrated until ${CALIBRATED_UNTIL}`, frozen, table);
  note('calibrated anew every day', hindcast(record, { ...days, calibratedUntil: undefined }), table);
  const first = { from: record.firstDay + EXCHANGE_DAYS, to: dayOf(EXCHANGED_UNTIL) + EXCHANGE_DAYS };
  const exchanged = { ...first, every: days.every, calibratedUntil: dayOf(SCORED_UNTIL) };
  note(`scored until ${EXCHANGED_UNTIL}, calibrated after`, hindcast(withFirstYearLast(record), exchanged), table);
  for (const [name, from, to] of YOUNG) {
    const young = hindcast(record, { from: dayOf(from), to: dayOf(to), every: days.every, calibratedUntil: undefined });
    table.note(name, 'x CRPS of persistence', young.all.model.crps / young.all.persistence.crps);
    table.note(name, 'in the 90 % interval', young.all.model.coverage, between(0.85, 0.95));
  }
};

function note(name: string, { all, byHorizon }: Hindcast, table: Table): void {
  const week = byHorizon[6]!;
  table.note(name, 'forecasts', all.model.count);
  table.note(name, 'degC, CRPS', all.model.crps);
  table.note(name, 'x CRPS of persistence', all.model.crps / all.persistence.crps, atMost(0.8));
  table.note(name, 'x CRPS of the last value', all.model.crps / all.lastValue.crps, atMost(0.8));
  table.note(name, 'x CRPS of climatology', all.model.crps / all.climatology.crps, atMost(0.7));
  table.note(name, 'x RMSE of persistence after 7 days', week.model.rmse / week.lastValue.rmse, atMost(0.78));
  table.note(name, 'in the 90 % interval', all.model.coverage, between(0.85, 0.95));
  table.note(name, 'in it on the worst day', Math.min(...byHorizon.map(({ model }) => model.coverage)), atLeast(0.75));
}

function between(low: number, high: number): Goal {
  return { text: `${low} to ${high}`, isReached: (value) => value >= low && value <= high };
}

function skillTable(title: string, skills: ReadonlyArray<readonly [number, Skill]>): string {
  const rows = skills.map(([name, { model, persistence, lastValue, climatology }]) => {
    const errors = [
      model.crps,
      persistence.crps,
      lastValue.crps,
      climatology.crps,
      model.rmse,
      lastValue.rmse,
      climatology.rmse,
    ];
    return `| ${name} | ${errors.map((error) => error.toFixed(2)).join(' | ')} | ${(100 * model.coverage).toFixed(0)} % |`;
  });
  return [
    `| ${title} | CRPS | CRPS of persistence | of the last value | of climatology | RMSE | RMSE of persistence | of climatology | in the 90 % interval |`,
    '|--:|--:|--:|--:|--:|--:|--:|--:|--:|',
    ...rows,
    '',
  ].join('\n');
}
