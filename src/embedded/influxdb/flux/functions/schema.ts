import { type Arguments, Builtin, callFunction } from '../interpreter.ts';
import { Read, tagKeysOf, tagValuesOf } from '../source.ts';
import type { Stream } from '../stream.ts';
import { Duration } from '../time.ts';
import type { FluxFunction, Value } from '../values.ts';

/** `influxdata/influxdb/schema`: what measurements, fields and tags there are. `v1` has the same functions. */

const THIRTY_DAYS = new Duration(0, -30n * 86_400n * 1_000_000_000n);

/** The bounded, filtered read that a question is about, made with the functions that a script would use. */
function readOf(
  args: Arguments,
  predicate: FluxFunction | undefined,
  extra?: { label: string; value: string },
): Stream {
  const call = (name: string, values: Record<string, Value>) => {
    const fn = args.session.globals.get(name) as FluxFunction;
    return callFunction(fn, new Map(Object.entries(values)), args.span, args.session) as Stream;
  };
  const stop = args.get('stop');
  const bounded = call('range', {
    tables: call('from', { bucket: args.value('bucket') }),
    start: args.value<Value>('start', THIRTY_DAYS),
    ...(stop === undefined ? {} : { stop }),
  });
  const named =
    extra && bounded instanceof Read
      ? bounded.filtered([{ kind: 'comparison', label: extra.label, operator: '==', literal: extra.value }])
      : bounded;
  return predicate ? call('filter', { tables: named, fn: predicate }) : named;
}

function tagValues(args: Arguments, tag: string, extra?: { label: string; value: string }): Stream {
  return tagValuesOf(readOf(args, args.get<FluxFunction>('predicate'), extra), tag);
}

function tagKeys(args: Arguments, extra?: { label: string; value: string }): Stream {
  return tagKeysOf(readOf(args, args.get<FluxFunction>('predicate'), extra));
}

const measurementOf = (args: Arguments) => ({ label: '_measurement', value: args.value<string>('measurement') });
const RANGE = 'start?: any, stop?: any';

export const schema: readonly Builtin[] = [
  new Builtin(`tagValues(bucket: string, tag: string, predicate?: function, ${RANGE})`, (args) =>
    tagValues(args, args.value('tag')),
  ),
  new Builtin(`measurementTagValues(bucket: string, measurement: string, tag: string, ${RANGE})`, (args) =>
    tagValues(args, args.value('tag'), measurementOf(args)),
  ),
  new Builtin(`measurements(bucket: string, ${RANGE})`, (args) => tagValues(args, '_measurement')),
  new Builtin(`fieldKeys(bucket: string, predicate?: function, ${RANGE})`, (args) => tagValues(args, '_field')),
  new Builtin(`measurementFieldKeys(bucket: string, measurement: string, ${RANGE})`, (args) =>
    tagValues(args, '_field', measurementOf(args)),
  ),
  new Builtin(`tagKeys(bucket: string, predicate?: function, ${RANGE})`, (args) => tagKeys(args)),
  new Builtin(`measurementTagKeys(bucket: string, measurement: string, ${RANGE})`, (args) =>
    tagKeys(args, measurementOf(args)),
  ),
  new Builtin('fieldsAsCols(<-tables: stream)', (args) => {
    const pivot = args.session.globals.get('pivot') as FluxFunction;
    const values = { tables: args.stream(), rowKey: ['_time'], columnKey: ['_field'], valueColumn: '_value' };
    return callFunction(pivot, new Map<string, Value>(Object.entries(values)), args.span, args.session);
  }),
];
