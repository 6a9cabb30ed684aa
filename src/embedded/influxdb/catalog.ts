import { CoveredTimes } from './covered-times.ts';
import { canonicalKey } from './line-key.ts';
import type { Point } from './line-protocol.ts';
import { detached } from './line-scan.ts';

export type ValueType = 'float' | 'integer' | 'unsigned' | 'string' | 'boolean';

/** One column of timestamped values of one type: what InfluxDB calls a series, and one field of it. */
export interface Series {
  readonly id: number;
  /** Id of the bucket. */
  readonly bucket: string;
  readonly measurement: string;
  readonly field: string;
  readonly type: ValueType;
  /** Sorted by key. */
  readonly tags: ReadonlyMap<string, string>;
}

export interface Organization {
  /** 16 hexadecimal digits. */
  readonly id: string;
  readonly name: string;
  /** RFC 3339. */
  readonly createdAt: string;
}

export interface Bucket {
  /** 16 hexadecimal digits. */
  readonly id: string;
  readonly name: string;
  readonly orgId: string;
  readonly description: string;
  /** How long points are kept, in seconds; 0 = for ever. */
  readonly retentionSeconds: number;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** A series, and where in time it has points. */
export interface KnownSeries extends Series {
  readonly times: CoveredTimes;
}

export type Value = number | bigint | string | boolean;

/** What is taken over of a request, and what is not: `reason` is the first of the dropped points'. */
export interface Accepted {
  /** Series that these points are the first of. */
  readonly created: KnownSeries[];
  readonly dropped: number;
  readonly reason: string;
}

type ValueVisitor = (series: KnownSeries, time: bigint, value: Value) => void;

const MAX_STRING_BYTES = 1_048_576;

interface BucketSeries {
  readonly byId: Map<number, KnownSeries>;
  readonly byKey: Map<string, Map<string, KnownSeries>>;
  /** Measurement → field → type. */
  readonly types: Map<string, Map<string, ValueType>>;
}

/** The buckets and series, in memory. */
export class Catalog {
  readonly #buckets = new Map<string, Bucket>();
  readonly #series = new Map<string, BucketSeries>();
  readonly #byId = new Map<number, KnownSeries>();
  #nextId = 1;

  get buckets(): Bucket[] {
    return [...this.#buckets.values()];
  }

  bucketById(id: string): Bucket | undefined {
    return this.#buckets.get(id);
  }

  bucketByName(name: string): Bucket | undefined {
    for (const bucket of this.#buckets.values()) if (bucket.name === name) return bucket;
    return undefined;
  }

  /** Adds a bucket, or replaces the one with its id. */
  putBucket(bucket: Bucket): void {
    this.#buckets.set(bucket.id, bucket);
    if (!this.#series.has(bucket.id)) {
      this.#series.set(bucket.id, { byId: new Map(), byKey: new Map(), types: new Map() });
    }
  }

  removeBucket(id: string): void {
    this.removeSeries([...this.series(id)]);
    this.#series.delete(id);
    this.#buckets.delete(id);
  }

  /** All series of a bucket (a live view). */
  series(bucketId: string): Iterable<KnownSeries> {
    return this.#series.get(bucketId)?.byId.values() ?? [];
  }

  seriesById(id: number): KnownSeries | undefined {
    return this.#byId.get(id);
  }

  /** @param latest the time of its latest point (ns), if it has any */
  addSeries(series: Series, latest?: bigint): KnownSeries {
    const bucket = this.#series.get(series.bucket)!;
    const known: KnownSeries = { ...series, times: new CoveredTimes(latest) };
    const key = canonicalKey(series.measurement, series.tags);
    this.#nextId = Math.max(this.#nextId, series.id + 1);
    this.#byId.set(series.id, known);
    bucket.byId.set(series.id, known);
    innerMap(bucket.byKey, key).set(series.field, known);
    innerMap(bucket.types, series.measurement).set(series.field, series.type);
    return known;
  }

  /** Forgets series; with the last one of a measurement go the types of that measurement's fields. */
  removeSeries(gone: readonly Series[]): void {
    for (const series of gone) this.#remove(series);
    for (const bucket of this.#series.values()) {
      const alive = new Set<string>();
      for (const series of bucket.byId.values()) alive.add(series.measurement);
      for (const measurement of bucket.types.keys()) if (!alive.has(measurement)) bucket.types.delete(measurement);
    }
  }

  #remove({ id, bucket: bucketId, measurement, tags, field }: Series): void {
    const bucket = this.#series.get(bucketId);
    this.#byId.delete(id);
    if (!bucket?.byId.delete(id)) return;
    const key = canonicalKey(measurement, tags);
    const fields = bucket.byKey.get(key)!;
    fields.delete(field);
    if (fields.size === 0) bucket.byKey.delete(key);
  }

  /**
   * Sorts the points of a request into series, making those that are new, and drops what InfluxDB 2.7 drops, in its words.
   * @param visit called with each value that is to be stored
   * @throws what `points` throws; then nothing of the request is left here
   */
  accept(bucketId: string, points: Iterable<Point>, visit: ValueVisitor): Accepted {
    const { types } = this.#series.get(bucketId)!;
    const created: KnownSeries[] = [];
    const decided: Decided[] = [];
    let dropped = 0;
    let reason = '';
    try {
      for (const point of points) {
        const objection = objectionTo(point, innerMap(types, point.series.measurement), decided);
        if (objection === undefined) {
          this.#place(bucketId, point, created, visit);
        } else {
          dropped++;
          reason ||= objection;
        }
      }
    } catch (error) {
      for (const series of created) this.#remove(series);
      for (const { measurement, field } of decided) {
        const ofMeasurement = types.get(measurement)!;
        ofMeasurement.delete(field);
        if (ofMeasurement.size === 0) types.delete(measurement);
      }
      throw error;
    }
    return { created, dropped, reason };
  }

  /** Shows each value of a point with its series, which is made where it is new. */
  #place(
    bucket: string,
    { series: { measurement, tags, canonical }, fields, time }: Point,
    created: KnownSeries[],
    visit: ValueVisitor,
  ): void {
    const { byKey } = this.#series.get(bucket)!;
    let known = byKey.get(canonical);
    for (const { key, type, value } of fields) {
      if (key === 'time') continue;
      let series = known?.get(key);
      if (!series) {
        series = this.addSeries({ id: this.#nextId, bucket, measurement, field: detached(key), type, tags });
        known = byKey.get(canonical);
        created.push(series);
      }
      visit(series, time, value);
    }
  }
}

/** A field whose type a request decides. */
interface Decided {
  readonly measurement: string;
  readonly field: string;
}

/**
 * Why a point is not stored, if it is not. A field's first value decides its type in the measurement,
 * even if the point is then dropped for another of its fields, as in InfluxDB.
 */
function objectionTo(
  { series: { measurement }, fields }: Point,
  types: Map<string, ValueType>,
  decided: Decided[],
): string | undefined {
  if (fields.every(({ key }) => key === 'time')) {
    return `invalid field name: input field "time" on measurement "${measurement}" is invalid`;
  }
  for (const field of fields) {
    if (field.type === 'string' && field.value.length > MAX_STRING_BYTES / 3) {
      const bytes = Buffer.byteLength(field.value);
      if (bytes > MAX_STRING_BYTES) {
        return `input field ${JSON.stringify(field.key)} on measurement ${JSON.stringify(measurement)} is too long, ${bytes} > ${MAX_STRING_BYTES}`;
      }
    }
    if (field.key === 'time') continue;
    const type = types.get(field.key);
    if (type === undefined) {
      const own = detached(field.key);
      types.set(own, field.type);
      decided.push({ measurement, field: own });
    } else if (type !== field.type) {
      return `field type conflict: input field ${JSON.stringify(field.key)} on measurement ${JSON.stringify(measurement)} is type ${field.type}, already exists as type ${type}`;
    }
  }
  return undefined;
}

function innerMap<K, V>(maps: Map<string, Map<K, V>>, key: string): Map<K, V> {
  const known = maps.get(key);
  if (known) return known;
  const made = new Map<K, V>();
  maps.set(key, made);
  return made;
}
