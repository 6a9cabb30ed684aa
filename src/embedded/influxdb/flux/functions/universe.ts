import type { Store } from '../../store.ts';
import { callError, FluxError } from '../errors.ts';
import { addResult, Builtin, Scope, type Session } from '../interpreter.ts';
import { BucketSource } from '../source.ts';
import { Stream } from '../stream.ts';
import { constant, GroupKey, Table } from '../table.ts';
import { Duration, INFINITE, NANOSECONDS_PER_SECOND } from '../time.ts';
import { FluxRecord, Time, type Value } from '../values.ts';
import { aggregations } from './aggregation.ts';
import { columns } from './columns.ts';
import { combining } from './combining.ts';
import { conversions } from './conversions.ts';
import { grouping } from './grouping.ts';
import { mapping } from './map.ts';
import { pivoting } from './pivot.ts';
import { rows } from './rows.ts';
import { selecting } from './selecting.ts';
import { sequences } from './sequences.ts';

/** The names that every script has without an import. */

const now = new Builtin('now()', (args) => new Time(args.session.now));

const yielding = new Builtin('yield(<-tables: stream, name?: string)', (args) => {
  const input = args.stream();
  addResult(args.session, args.value('name', '_result'), input);
  return new Stream('yield', [input], (run) => input.tables(run));
});

function from(store: Store): Builtin {
  return new Builtin(
    'from(bucket?: string, bucketID?: string, host?: string, org?: string, orgID?: string, token?: string)',
    (args) => {
      const [name, id] = [args.get<string>('bucket'), args.get<string>('bucketID')];
      if ((name === undefined) === (id === undefined)) {
        throw callError(
          'from',
          args.span,
          name === undefined ? 'must specify bucket or bucketID' : 'must specify only one of bucket or bucketID',
        );
      }
      if (args.get('host') !== undefined)
        throw callError('from', args.span, 'reading from another host is not supported');
      const bucket = name !== undefined ? store.bucketByName(name) : store.bucketById(id!);
      if (!bucket) {
        throw new FluxError(`failed to initialize execute state: could not find bucket "${name ?? id}"`, {
          status: 404,
          code: 'not found',
        });
      }
      return new BucketSource(bucket.id, bucket.name);
    },
  );
}

function buckets(store: Store): Builtin {
  return new Builtin('buckets()', () => {
    const all = store.buckets.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const tables = () => {
      const byOrganization = new Map<string, typeof all>();
      for (const bucket of all) byOrganization.set(bucket.orgId, [...(byOrganization.get(bucket.orgId) ?? []), bucket]);
      return [...byOrganization].map(([organization, found]) => {
        const key = new GroupKey([{ label: 'organizationID', type: 'string', value: organization }]);
        const period = (seconds: number) => BigInt(seconds) * NANOSECONDS_PER_SECOND;
        return new Table(key, [
          { label: 'name', type: 'string', cells: found.map(({ name }) => name) },
          { label: 'id', type: 'string', cells: found.map(({ id }) => id) },
          constant('organizationID', 'string', organization, found.length),
          constant('retentionPolicy', 'string', '', found.length),
          {
            label: 'retentionPeriod',
            type: 'int',
            cells: found.map(({ retentionSeconds }) => period(retentionSeconds)),
          },
        ]);
      });
    };
    return new Stream('buckets', [], tables);
  });
}

/** A fresh global scope for one run: the library, and the options that a script may set. */
export function universe(store: Store): Scope {
  const scope = new Scope();
  const library = [
    ...selecting,
    ...rows,
    ...columns,
    ...grouping,
    ...combining,
    ...pivoting,
    ...mapping,
    ...aggregations,
    ...sequences,
    ...conversions,
    now,
    yielding,
    from(store),
    buckets(store),
  ];
  for (const fn of library) scope.set(fn.name, fn);
  const constants: Record<string, Value> = {
    true: true,
    false: false,
    inf: INFINITE,
    location: new FluxRecord([
      ['zone', 'UTC'],
      ['offset', new Duration(0, 0n)],
    ]),
  };
  for (const [name, value] of Object.entries(constants)) scope.set(name, value);
  return scope;
}

export function newSession(globals: Scope, nowNanoseconds: bigint): Session {
  return { now: nowNanoseconds, results: [], globals, callDepth: 0 };
}
