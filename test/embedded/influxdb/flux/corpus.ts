/** One data set and many queries: what the embedded InfluxDB must answer as a real one does. */

const HOUR = 3_600;

/** Line protocol, in the order in which it is written, per bucket. Values are quarters, so that sums are exact. */
export const writes: readonly { bucket: string; lines: string }[] = [
  { bucket: 'measure', lines: [...hourly(), ...types(), ...sparse(), ...kolkata(), ...load()].join('\n') },
  // The same points again with other values, and one field more.
  { bucket: 'measure', lines: overwrites().join('\n') },
  { bucket: 'aggregates', lines: daily().join('\n') },
];

function at(iso: string, seconds = 0): string {
  return `${BigInt(Date.parse(iso) / 1000 + seconds) * 1_000_000_000n}`;
}

/** Two datacenters, three devices, an hour apart over both of New York's clock changes of 2024, with gaps. */
function hourly(): string[] {
  const lines: string[] = [];
  for (const start of ['2024-03-08T00:00:00Z', '2024-11-01T00:00:00Z']) {
    for (let hour = 0; hour < 6 * 24; hour++) {
      for (const [device, tags] of [
        ['a', 'datacenter_id=1,device=a'],
        ['b', 'datacenter_id=1,device=b'],
        ['c', 'datacenter_id=2,device=c'],
      ] as const) {
        if (device === 'b' && hour % 5 === 0) continue;
        if (device === 'c' && hour >= 30 && hour < 70) continue;
        const value = ((hour * 7 + device.charCodeAt(0)) % 40) / 4;
        lines.push(`temperature,${tags} value=${value} ${at(start, hour * HOUR)}`);
        if (hour % 6 === 0)
          lines.push(`humidity,${tags} value=${40 + value},raw=${hour}i ${at(start, hour * HOUR + 60)}`);
      }
    }
  }
  return lines;
}

function types(): string[] {
  return [
    `mixed,dc=1,host=a f=1.5,i=1i,u=1u,s="x",b=true ${at('2024-05-01T00:00:00Z')}`,
    `mixed,dc=1,host=a f=2.5,i=2i,u=2u,s="y",b=false ${at('2024-05-01T00:01:00Z')}`,
    `mixed,dc=1,host=a f=3.25,i=5i,u=9u,s="a,b \\"q\\"",b=true ${at('2024-05-01T00:02:00Z')}`,
    `mixed,dc=1,host=b f=10,i=-4i ${at('2024-05-01T00:00:00Z')}`,
    `mixed,dc=1,host=b f=-0.0000001,i=9223372036854775807i ${at('2024-05-01T00:03:00Z')}`,
    `mixed,dc=2,host=a f=20.125,s="" ${at('2024-05-01T00:00:30Z')}`,
    `mixed,dc=2,host=a f=123456789012345680000000,u=18446744073709551615u ${at('2024-05-01T01:00:30Z')}`,
    `mixed,dc=2,host=a f=0.1 ${at('2024-05-01T01:00:31Z').slice(0, -9)}123456789`,
    `mixed,dc=2,host=a f=1e-9 ${at('2024-05-01T01:00:32Z').slice(0, -9)}100000000`,
  ];
}

function sparse(): string[] {
  const t = at('2024-06-01T12:00:00Z');
  return [
    `sparse value=5 ${t}`,
    `sparse,Zone=Z value=6 ${t}`,
    `sparse,x=1 value=7 ${t}`,
    `sparse,x=2,y=a\\ b\\,c value=8 ${t}`,
    `sparse,x=2 text="two\nlines" ${t}`,
    `sparse,x=10 value=9 ${at('2024-06-01T12:00:01Z')}`,
    `sparse,x=10 value=10 ${at('2024-06-01T12:00:03Z')}`,
    `sparse,x=10 value=8 ${at('2024-06-01T12:00:06Z')}`,
    `sparse,x=10 value=8 ${at('2024-06-01T12:00:07Z')}`,
  ];
}

/** Around midnight in Kolkata (18:30 UTC). */
function kolkata(): string[] {
  return [-1, 0, 1].flatMap((day) =>
    [-1, 0, 1, 3600].map(
      (seconds, index) => `kolkata,site=k v=${day * 4 + index} ${at('2024-07-02T18:30:00Z', day * 86_400 + seconds)}`,
    ),
  );
}

/** Enough values that a quantile is estimated rather than interpolated. */
function load(): string[] {
  return Array.from(
    { length: 3000 },
    (_, n) => `load,core=0 busy=${((n * 7919) % 1000) / 8} ${at('2024-08-01T00:00:00Z', n * 60)}`,
  );
}

function overwrites(): string[] {
  return [
    `temperature,datacenter_id=1,device=a value=99.75 ${at('2024-03-10T07:00:00Z')}`,
    `temperature,device=a,datacenter_id=1 value=98.5 ${at('2024-03-10T08:00:00Z')}`,
    `mixed,host=a,dc=1 s="overwritten",extra=1i ${at('2024-05-01T00:01:00Z')}`,
  ];
}

/** The dashboard's contract: one point per day, datacenter and quantity with fields avg, min and max. */
function daily(): string[] {
  const lines: string[] = [];
  for (let day = 0; day < 5; day++) {
    for (const [index, quantity] of ['humidity', 'temperature', 'gas_perc'].entries()) {
      for (const datacenter of [1, 2]) {
        const value = 10 * index + day + datacenter / 2;
        lines.push(
          `${quantity},datacenter_id=${datacenter} avg=${value},min=${value - 1},max=${value + 1} ${at('2024-09-01T00:00:00Z', day * 86_400)}`,
        );
      }
    }
  }
  return lines;
}

const NOW = 'option now = () => 2024-09-06T00:00:00Z\n';
const range = (start: string, stop: string) => `from(bucket: "measure") |> range(start: ${start}, stop: ${stop})`;
const ALL = range('2024-01-01T00:00:00Z', '2025-01-01T00:00:00Z');
const TYPES = `${range('2024-05-01T00:00:00Z', '2024-05-02T00:00:00Z')} |> filter(fn: (r) => r._measurement == "mixed")`;
const F = `${TYPES} |> filter(fn: (r) => r._field == "f")`;
const I = `${TYPES} |> filter(fn: (r) => r._field == "i")`;
const SPARSE = `${range('2024-06-01T00:00:00Z', '2024-06-02T00:00:00Z')} |> filter(fn: (r) => r._measurement == "sparse")`;
const TEN = `${SPARSE} |> filter(fn: (r) => r.x == "10")`;
const SPRING = `${range('2024-03-08T00:00:00Z', '2024-03-14T00:00:00Z')} |> filter(fn: (r) => r._measurement == "temperature")`;
const AUTUMN = `${range('2024-11-01T00:00:00Z', '2024-11-07T00:00:00Z')} |> filter(fn: (r) => r._measurement == "temperature")`;
const KOLKATA = `${range('2024-07-01T00:00:00Z', '2024-07-05T00:00:00Z')} |> filter(fn: (r) => r._measurement == "kolkata")`;
const LOAD = `${range('2024-08-01T00:00:00Z', '2024-08-04T00:00:00Z')} |> filter(fn: (r) => r._measurement == "load")`;
const NEW_YORK = 'import "timezone"\noption location = timezone.location(name: "America/New_York")\n';
const ROWS = `array.from(rows: [{_time: 2024-01-01T00:00:00Z, _value: 1.5, k: "a"}, {_time: 2024-01-01T00:00:10Z, _value: 4.0, k: "b"}, {_time: 2024-01-01T00:00:30Z, _value: 2.0, k: "a"}])`;
const ARRAY = `import "array"\n${ROWS}`;
const FUNCTIONS = ['mean', 'min', 'max', 'sum', 'count', 'median', 'first', 'last', 'stddev', 'spread'];

const queries: string[] = [
  // from, range
  ALL,
  `from(bucket: "measure")`,
  `from(bucket: "nowhere") |> range(start: -1h)`,
  `from() |> range(start: -1h)`,
  `${NOW}from(bucket: "aggregates") |> range(start: -3d)`,
  `${NOW}from(bucket: "aggregates") |> range(start: -3d, stop: -1d)`,
  `${NOW}from(bucket: "aggregates") |> range(start: -1mo, stop: now())`,
  `${NOW}from(bucket: "aggregates") |> range(start: -1y) |> count()`,
  `from(bucket: "aggregates") |> range(start: 1725148800, stop: 1725235201)`,
  `from(bucket: "aggregates") |> range(start: 2024-09-01, stop: 2024-09-02)`,
  `from(bucket: "aggregates") |> range(start: 2024-09-01T02:00:00+02:00, stop: 2024-09-01T00:00:00.000000001Z)`,
  `from(bucket: "aggregates") |> range(start: time(v: "2024-09-01T00:00:00Z"), stop: time(v: 1725235200000000000))`,
  `from(bucket: "aggregates") |> range(start: 0, stop: 1)`,
  `from(bucket: "aggregates") |> range(start: 2024-09-02, stop: 2024-09-01)`,
  `from(bucket: "aggregates") |> range(start: "x")`,
  `from(bucket: "aggregates") |> range()`,
  `from(bucket: "aggregates") |> range(begin: -1h)`,
  `${NOW}from(bucket: "aggregates") |> range(start: -5d) |> range(start: -2d) |> filter(fn: (r) => r._field == "avg")`,
  // filter
  `${TYPES} |> filter(fn: (r) => r._field == "f" or r._field == "i")`,
  `${TYPES} |> filter(fn: (r) => (r._field == "f" and r.host == "a") or (r._field == "i" and r.host == "b"))`,
  `${TYPES} |> filter(fn: (r) => r["_field"] == "f" and r["host"] != "a")`,
  `${TYPES} |> filter(fn: (r) => r._field =~ /^[fi]$/)`,
  `${TYPES} |> filter(fn: (r) => r._field !~ /^[fi]$/ and r.dc == "2")`,
  `${TYPES} |> filter(fn: (r) => not (r._field == "f") and r.host == "b")`,
  `${TYPES} |> filter(fn: (r) => not r._field =~ /[fisb]/)`,
  `${TYPES} |> filter(fn: (r) => r._value > 1.5)`,
  `${TYPES} |> filter(fn: (r) => r._value > 1)`,
  `${TYPES} |> filter(fn: (r) => r._value >= 2 and r._value < 10)`,
  `${TYPES} |> filter(fn: (r) => r._value == "x")`,
  `${TYPES} |> filter(fn: (r) => r._value != "x")`,
  `${TYPES} |> filter(fn: (r) => r._value =~ /^[a-x]/)`,
  `${TYPES} |> filter(fn: (r) => r._value !~ /^[a-x]/)`,
  `${TYPES} |> filter(fn: (r) => r._value == true)`,
  `${TYPES} |> filter(fn: (r) => r._value != true)`,
  `${TYPES} |> filter(fn: (r) => r._value == "")`,
  `${TYPES} |> filter(fn: (r) => r._value > 3.0 or r._field == "i")`,
  `${F} |> filter(fn: (r) => r._value + 1.0 > 3.0)`,
  `${F} |> filter(fn: (r) => 3.0 < r._value)`,
  `${F} |> filter(fn: (r) => not (r._value > 3.0))`,
  `${F} |> filter(fn: (r) => r._time > 2024-05-01T00:01:00Z)`,
  `${F} |> filter(fn: (r) => r._time >= 2024-05-01T00:01:00Z and r.host == "a" and r._value < 100.0)`,
  `${F} |> filter(fn: (r) => if r.host == "a" then r._value > 2.0 else false)`,
  `${F} |> filter(fn: (r) => r._value > 1e3)`,
  `${F} |> filter(fn: (r) => r.host == "nobody")`,
  `${F} |> filter(fn: (r) => r._value > 1000.0 and r.host == "b")`,
  `${F} |> filter(fn: (r) => r._value > 1000.0, onEmpty: "keep")`,
  `${F} |> filter(fn: (r) => r._value > 1000.0, onEmpty: "other")`,
  `${SPARSE} |> filter(fn: (r) => exists r.x)`,
  `${SPARSE} |> filter(fn: (r) => not exists r.x)`,
  `${SPARSE} |> filter(fn: (r) => exists r.x and r.x != "2")`,
  `${SPARSE} |> filter(fn: (r) => r.x != "1")`,
  `${SPARSE} |> filter(fn: (r) => r.x == "")`,
  `${SPARSE} |> filter(fn: (r) => r.x != "")`,
  `${SPARSE} |> filter(fn: (r) => r.x =~ /1*/)`,
  `${SPARSE} |> filter(fn: (r) => r.x !~ /1/)`,
  `${SPARSE} |> filter(fn: (r) => r.x == 1)`,
  `${SPARSE} |> filter(fn: (r) => not r.x == "1")`,
  `${SPARSE} |> filter(fn: (r) => r.y == "a b,c")`,
  `${SPARSE} |> filter(fn: (r) => r.Zone == "Z")`,
  `${SPARSE} |> filter(fn: (r) => r.y == "a b,c" or r.Zone == "Z")`,
  `import "strings"\n${TYPES} |> filter(fn: (r) => strings.hasPrefix(v: r._field, prefix: "f"))`,
  `${TYPES} |> filter(fn: (r) => contains(value: r._field, set: ["f", "i"]))`,
  `x = "b"\n${TYPES} |> filter(fn: (r) => r.host == x)`,
  `isF = (r) => r._field == "f"\n${TYPES} |> filter(fn: isF)`,
  `isF = (r) => r._field == "f"\n${TYPES} |> filter(fn: (r) => isF(r) and r.host == "b")`,
  `${F} |> filter(fn: (r) => r._value > "a")`,
  `${F} |> filter(fn: (r) => r._value + 1.0 > "a")`,
  // aggregates and selectors
  ...FUNCTIONS.map((fn) => `${F} |> ${fn}()`),
  ...FUNCTIONS.map((fn) => `${I} |> ${fn}()`),
  ...FUNCTIONS.map((fn) => `${TYPES} |> filter(fn: (r) => r._field == "u") |> ${fn}()`),
  ...FUNCTIONS.map((fn) => `${TYPES} |> filter(fn: (r) => r._field == "s") |> ${fn}()`),
  ...FUNCTIONS.map((fn) => `${TYPES} |> filter(fn: (r) => r._field == "b") |> ${fn}()`),
  ...FUNCTIONS.map((fn) => `${F} |> group() |> ${fn}()`),
  ...FUNCTIONS.map((fn) => `${F} |> group(columns: ["host"]) |> ${fn}()`),
  ...FUNCTIONS.map((fn) => `${F} |> filter(fn: (r) => r._value + 0.0 > 1.5) |> ${fn}()`),
  ...FUNCTIONS.map((fn) => `${F} |> filter(fn: (r) => r._value > 1000000.0, onEmpty: "keep") |> ${fn}()`),
  ...FUNCTIONS.map((fn) => `${F} |> filter(fn: (r) => r.host == "none") |> ${fn}()`),
  `${LOAD} |> median()`,
  `${LOAD} |> quantile(q: 0.9)`,
  `${LOAD} |> quantile(q: 0.9, compression: 10.0)`,
  `${LOAD} |> quantile(q: 0.25, method: "exact_mean")`,
  `${LOAD} |> quantile(q: 0.25, method: "exact_selector")`,
  `${LOAD} |> aggregateWindow(every: 1d, fn: median)`,
  `${LOAD} |> aggregateWindow(every: 1d, fn: stddev)`,
  `${F} |> median(method: "exact_mean")`,
  `${F} |> median(method: "exact_selector")`,
  `${F} |> quantile(q: 0.0)`,
  `${F} |> quantile(q: 1.0)`,
  `${F} |> quantile(q: 1.5)`,
  `${F} |> quantile()`,
  `${F} |> stddev(mode: "population")`,
  `${F} |> mean(column: "nope")`,
  `${F} |> max(column: "nope")`,
  `${F} |> count(column: "host")`,
  `${F} |> max(column: "_time")`,
  `${F} |> drop(columns: ["_value"]) |> mean()`,
  `${F} |> map(fn: (r) => ({r with x: r._value * 2.0})) |> sum(column: "x")`,
  `${TYPES} |> first()`,
  `${TYPES} |> last()`,
  `${TYPES} |> count()`,
  `${TYPES} |> mean()`,
  `${TYPES} |> group() |> count()`,
  `${TYPES} |> filter(fn: (r) => r._field == "f" or r._field == "i") |> group()`,
  `${TYPES} |> filter(fn: (r) => r._field == "f" or r._field == "i") |> group() |> max()`,
  `${TYPES} |> filter(fn: (r) => r._field == "f" or r._field == "i") |> keep(columns: ["_value"])`,
  // group
  `${F} |> group()`,
  `${F} |> group(columns: ["dc"])`,
  `${F} |> group(columns: ["host", "dc"])`,
  `${F} |> group(columns: ["dc", "nope"])`,
  `${F} |> group(columns: ["_time"])`,
  `${F} |> group(columns: ["_value", "host"])`,
  `${F} |> group(columns: ["_start", "_stop", "dc"])`,
  `${F} |> group(columns: ["dc"], mode: "except")`,
  `${F} |> group(columns: ["_time", "_value", "dc"], mode: "except")`,
  `${F} |> group(columns: ["dc"], mode: "other")`,
  `${F} |> group(columns: ["dc"]) |> group()`,
  `${F} |> group(columns: ["dc"]) |> sort()`,
  `${F} |> sort() |> group(columns: ["dc"])`,
  `${F} |> sort() |> group()`,
  `${SPARSE} |> filter(fn: (r) => r._field == "value") |> group(columns: ["x"])`,
  `${SPARSE} |> filter(fn: (r) => r._field == "value") |> group()`,
  `${SPARSE} |> filter(fn: (r) => r._field == "value") |> group(columns: ["x"]) |> sum()`,
  `${SPARSE} |> filter(fn: (r) => r._field == "value") |> group(columns: ["x"]) |> mean()`,
  `${SPARSE} |> filter(fn: (r) => r._field == "value") |> group(columns: ["x"]) |> last()`,
  // aggregateWindow and window
  ...FUNCTIONS.map((fn) => `${SPRING} |> aggregateWindow(every: 1d, fn: ${fn})`),
  ...FUNCTIONS.map(
    (fn) =>
      `${SPRING} |> filter(fn: (r) => r.datacenter_id == "2") |> aggregateWindow(every: 6h, fn: ${fn}, createEmpty: false)`,
  ),
  ...FUNCTIONS.map(
    (fn) => `${SPRING} |> filter(fn: (r) => r.datacenter_id == "2") |> aggregateWindow(every: 6h, fn: ${fn})`,
  ),
  ...FUNCTIONS.map((fn) => `${NEW_YORK}${SPRING} |> aggregateWindow(every: 1d, fn: ${fn})`),
  ...FUNCTIONS.map((fn) => `${NEW_YORK}${AUTUMN} |> aggregateWindow(every: 1d, fn: ${fn}, createEmpty: false)`),
  ...FUNCTIONS.map(
    (fn) =>
      `${SPRING} |> group(columns: ["datacenter_id", "_measurement"]) |> aggregateWindow(every: 1d, fn: ${fn}, createEmpty: false) |> yield(name: "${fn}")`,
  ),
  ...FUNCTIONS.map((fn) => `${SPRING} |> group() |> aggregateWindow(every: 2d, fn: ${fn})`),
  ...FUNCTIONS.map(
    (fn) =>
      `${TYPES} |> filter(fn: (r) => r._field == "i") |> aggregateWindow(every: 1h, fn: ${fn}, createEmpty: false)`,
  ),
  ...FUNCTIONS.map((fn) => `${TYPES} |> filter(fn: (r) => r._field == "s") |> aggregateWindow(every: 6h, fn: ${fn})`),
  ...FUNCTIONS.map(
    (fn) => `${SPRING} |> filter(fn: (r) => r._value + 0.0 > 5.0) |> aggregateWindow(every: 2d, fn: ${fn})`,
  ),
  ...FUNCTIONS.map((fn) => `${SPRING} |> window(every: 2d) |> ${fn}()`),
  ...FUNCTIONS.map((fn) => `${NEW_YORK}${SPRING} |> window(every: 2d) |> ${fn}()`),
  ...FUNCTIONS.map(
    (fn) =>
      `${SPRING} |> filter(fn: (r) => r.datacenter_id == "2") |> window(every: 12h, createEmpty: true) |> ${fn}()`,
  ),
  `${NEW_YORK}${SPRING} |> filter(fn: (r) => r.device == "a") |> aggregateWindow(every: 1h, fn: count)`,
  `${NEW_YORK}${AUTUMN} |> filter(fn: (r) => r.device == "a") |> aggregateWindow(every: 1h, fn: count)`,
  `${NEW_YORK}${AUTUMN} |> filter(fn: (r) => r.device == "a") |> aggregateWindow(every: 6h, fn: mean)`,
  `${NEW_YORK}${ALL} |> filter(fn: (r) => r._measurement == "temperature") |> aggregateWindow(every: 1mo, fn: count)`,
  `${NEW_YORK}${ALL} |> filter(fn: (r) => r._measurement == "temperature") |> aggregateWindow(every: 1w, fn: sum, createEmpty: false)`,
  `${ALL} |> filter(fn: (r) => r._measurement == "temperature") |> aggregateWindow(every: 1mo, fn: count)`,
  `${ALL} |> filter(fn: (r) => r._measurement == "temperature") |> aggregateWindow(every: 1mo, fn: max, createEmpty: false)`,
  `${ALL} |> filter(fn: (r) => r._measurement == "temperature") |> aggregateWindow(every: 1y, fn: mean)`,
  `${ALL} |> filter(fn: (r) => r._measurement == "temperature") |> aggregateWindow(every: 1w, fn: count, createEmpty: false)`,
  `import "timezone"\n${KOLKATA} |> aggregateWindow(every: 1d, fn: sum, location: timezone.location(name: "Asia/Kolkata"))`,
  `import "timezone"\n${KOLKATA} |> aggregateWindow(every: 1d, fn: sum, location: timezone.fixed(offset: 5h30m))`,
  `import "timezone"\n${KOLKATA} |> aggregateWindow(every: 1d, fn: last, location: timezone.fixed(offset: -8h))`,
  `import "timezone"\n${KOLKATA} |> aggregateWindow(every: 1mo, fn: sum, location: timezone.location(name: "Asia/Kolkata"))`,
  `import "timezone"\n${KOLKATA} |> aggregateWindow(every: 1d, fn: sum, location: timezone.utc)`,
  `import "timezone"\n${KOLKATA} |> aggregateWindow(every: 1d, fn: sum, location: timezone.location(name: "Nowhere/Land"))`,
  `${KOLKATA} |> aggregateWindow(every: 1d, fn: sum, location: {zone: "Asia/Kolkata", offset: 0h})`,
  `${KOLKATA} |> aggregateWindow(every: 1d, offset: 18h30m, fn: sum)`,
  `${KOLKATA} |> aggregateWindow(every: 1d, offset: -5h30m, fn: sum)`,
  `${KOLKATA} |> aggregateWindow(every: 1d, period: 2d, fn: sum)`,
  `${KOLKATA} |> aggregateWindow(every: 1d, period: 1h, fn: count)`,
  `${KOLKATA} |> aggregateWindow(every: 1d, period: 2d, fn: max, createEmpty: false)`,
  `${KOLKATA} |> aggregateWindow(every: 1d, fn: mean, timeSrc: "_start")`,
  `${KOLKATA} |> aggregateWindow(every: 1d, fn: max, timeSrc: "_start", createEmpty: false)`,
  `${KOLKATA} |> aggregateWindow(every: 1d, fn: max, timeSrc: "_time", createEmpty: false)`,
  `${KOLKATA} |> aggregateWindow(every: 1d, fn: mean, timeDst: "when")`,
  `${KOLKATA} |> aggregateWindow(every: 1d, fn: median, timeSrc: "_start")`,
  `${KOLKATA} |> aggregateWindow(every: 1d, fn: (column, tables=<-) => tables |> mean(column: column))`,
  `${KOLKATA} |> aggregateWindow(every: 1d, fn: (column, tables=<-) => tables |> quantile(q: 0.9, column: column))`,
  `${KOLKATA} |> aggregateWindow(every: 1d, fn: (tables=<-, column="_value") => tables |> spread())`,
  `${KOLKATA} |> aggregateWindow(every: 0s, fn: mean)`,
  `${KOLKATA} |> aggregateWindow(every: -1h, fn: mean)`,
  `${KOLKATA} |> aggregateWindow(every: 1mo1d, fn: mean)`,
  `${KOLKATA} |> aggregateWindow(fn: mean)`,
  `${KOLKATA} |> aggregateWindow(every: 1d)`,
  `${KOLKATA} |> aggregateWindow(every: "1d", fn: mean)`,
  `${KOLKATA} |> aggregateWindow(every: inf, fn: mean)`,
  `${KOLKATA} |> drop(columns: ["_time"]) |> aggregateWindow(every: 1d, fn: mean)`,
  `${KOLKATA} |> aggregateWindow(every: 1d, fn: mean) |> aggregateWindow(every: 2d, fn: sum)`,
  `${KOLKATA} |> aggregateWindow(every: 1d, fn: mean, createEmpty: false) |> map(fn: (r) => ({r with _value: r._value * 2.0}))`,
  `${range('2024-07-02T12:00:00Z', '2024-07-03T12:00:00Z')} |> filter(fn: (r) => r._measurement == "kolkata") |> aggregateWindow(every: 1d, fn: sum)`,
  `${range('2024-07-02T12:34:56Z', '2024-07-03T12:34:56Z')} |> filter(fn: (r) => r._measurement == "kolkata") |> aggregateWindow(every: 7h, fn: count)`,
  `${range('0', '2024-07-03T12:34:56Z')} |> filter(fn: (r) => r._measurement == "kolkata") |> aggregateWindow(every: 1h, fn: count, createEmpty: false)`,
  `${range('2024-07-04T00:00:00Z', '2024-07-05T00:00:00Z')} |> filter(fn: (r) => r._measurement == "kolkata") |> aggregateWindow(every: 1h, fn: count)`,
  `${KOLKATA} |> window(every: 1d)`,
  `${KOLKATA} |> window(every: 1d, period: 36h)`,
  `${KOLKATA} |> window(every: 1d, offset: 12h)`,
  `${KOLKATA} |> window(every: 2d, createEmpty: true)`,
  `${KOLKATA} |> window(every: 1d, startColumn: "from", stopColumn: "to")`,
  `${KOLKATA} |> window(every: 1d) |> window(every: inf)`,
  `${KOLKATA} |> window(every: 1d) |> mean() |> duplicate(column: "_stop", as: "_time") |> window(every: inf)`,
  `${KOLKATA} |> window(every: 1d) |> max() |> duplicate(column: "_stop", as: "_time") |> window(every: inf)`,
  `${KOLKATA} |> window()`,
  `${ARRAY} |> window(every: 1d)`,
  `${ARRAY} |> range(start: 2024-01-01, stop: 2024-01-02) |> aggregateWindow(every: 15s, fn: mean, createEmpty: false)`,
  `${ARRAY} |> range(start: 2024-01-01, stop: 2024-01-02)`,
  // order and choice of rows
  `${F} |> sort()`,
  `${F} |> sort(desc: true)`,
  `${F} |> sort(columns: ["_time"], desc: true)`,
  `${F} |> group() |> sort(columns: ["host", "_value"])`,
  `${F} |> sort(columns: ["nope"])`,
  `${TYPES} |> sort()`,
  `${F} |> limit(n: 1)`,
  `${F} |> limit(n: 1, offset: 1)`,
  `${F} |> limit(n: 0)`,
  `${F} |> limit(n: -1)`,
  `${F} |> limit()`,
  `${F} |> limit(n: "1")`,
  `${F} |> limit(n: 1.0)`,
  `${F} |> tail(n: 1)`,
  `${F} |> tail(n: 1, offset: 1)`,
  `${F} |> top(n: 2)`,
  `${F} |> bottom(n: 2)`,
  `${F} |> group() |> top(n: 2, columns: ["_value"])`,
  `${F} |> distinct()`,
  `${F} |> distinct(column: "host")`,
  `${F} |> distinct(column: "nope")`,
  `${F} |> group() |> distinct(column: "host")`,
  `${F} |> keep(columns: ["host"]) |> distinct(column: "host")`,
  `${TEN} |> distinct()`,
  `${TEN} |> unique()`,
  `${F} |> unique(column: "nope")`,
  `${F} |> group() |> unique(column: "host")`,
  // columns
  `${F} |> keep(columns: ["_time", "_value", "dc"])`,
  `${F} |> keep(columns: ["_value", "_time"])`,
  `${F} |> keep(columns: ["nope"])`,
  `${F} |> keep(fn: (column) => column =~ /^_(time|value)/)`,
  `${F} |> keep()`,
  `${F} |> drop(columns: ["_start", "_stop"])`,
  `${F} |> drop(columns: ["dc", "host", "nope"])`,
  `${F} |> drop(fn: (column) => column == "dc")`,
  `${TYPES} |> drop(columns: ["dc"]) |> filter(fn: (r) => r._field == "f")`,
  `${F} |> rename(columns: {_value: "value", host: "machine"})`,
  `${F} |> rename(columns: {nope: "x"})`,
  `${F} |> rename(fn: (column) => "x_" + column)`,
  `${F} |> rename(columns: {dc: "host"})`,
  `${F} |> duplicate(column: "_value", as: "copy")`,
  `${F} |> duplicate(column: "_stop", as: "_time")`,
  `${F} |> duplicate(column: "host", as: "dc")`,
  `${F} |> duplicate(column: "nope", as: "x")`,
  `${F} |> set(key: "host", value: "same")`,
  `${F} |> set(key: "new", value: "v")`,
  `${F} |> set(key: "_value", value: "v")`,
  // map
  `${F} |> map(fn: (r) => ({r with x: r._value + 1.0}))`,
  `${F} |> map(fn: (r) => ({r with _value: r._value * 2.0 - 1.0}))`,
  `${F} |> map(fn: (r) => ({r with _value: r._value / 4.0}))`,
  `${I} |> map(fn: (r) => ({r with _value: r._value / 2, m: r._value % 3}))`,
  `${I} |> map(fn: (r) => ({r with _value: float(v: r._value) / 2.0}))`,
  `${I} |> map(fn: (r) => ({r with _value: r._value + 1}))`,
  `${F} |> map(fn: (r) => ({v: r._value}))`,
  `${F} |> map(fn: (r) => ({time: string(v: r._time), value: r._value, host: r.host}))`,
  `${F} |> map(fn: (r) => ({z: r._value, a: r.host, m: 1}))`,
  `${F} |> map(fn: (r) => ({r with level: if r._value > 5.0 then "high" else "low"}))`,
  `${F} |> map(fn: (r) => ({r with label: "\${r.host}: \${string(v: r._value)}"}))`,
  `${F} |> map(fn: (r) => ({r with label: r.host + "-" + r.dc}))`,
  `${F} |> map(fn: (r) => ({r with host: r.host + "!"}))`,
  `${F} |> map(fn: (r) => ({r with i: int(v: r._value), s: string(v: r._value), t: time(v: 0), u: uint(v: 3), b: bool(v: "true")}))`,
  `${F} |> map(fn: (r) => ({r with n: int(v: r._time)}))`,
  `${F} |> map(fn: (r) => ({r with missing: r.nope}))`,
  `${F} |> map(fn: (r) => ({r with x: r._value > 2.0 and r.host == "a"}))`,
  `${F} |> map(fn: (r) => ({r with x: exists r.nope, y: exists r.host}))`,
  `${F} |> map(fn: (r) => ({r with x: -r._value}))`,
  `${F} |> map(fn: (r) => ({r with x: 2.0 ^ 3.0}))`,
  `${F} |> map(fn: (r) => ({r with x: r._value + "a"}))`,
  `${F} |> map(fn: (r) => ({r with x: r._value + 1}))`,
  `${F} |> map(fn: (r) => r._value)`,
  `${F} |> map(fn: (r) => ({r with x: undefinedName}))`,
  `${I} |> map(fn: (r) => ({r with x: r._value / 0}))`,
  `${F} |> map(fn: (r) => { y = r._value * 2.0 return {r with y: y} })`,
  `${F} |> filter(fn: (r) => r.host == "none") |> map(fn: (r) => ({r with x: 1}))`,
  `import "math"\n${F} |> map(fn: (r) => ({r with _value: math.round(x: r._value)}))`,
  `import "math"\n${F} |> filter(fn: (r) => r.dc == "1") |> map(fn: (r) => ({r with _value: math.floor(x: r._value) + math.abs(x: -1.5) + math.pow(x: 2.0, y: 3.0)}))`,
  `import "strings"\n${TYPES} |> filter(fn: (r) => r._field == "s") |> map(fn: (r) => ({r with _value: strings.toUpper(v: r._value)}))`,
  `import "strings"\n${TYPES} |> filter(fn: (r) => r._field == "s") |> map(fn: (r) => ({r with _value: strings.replaceAll(v: r._value, t: "x", u: "zz"), n: strings.strlen(v: r._value)}))`,
  `import "date"\n${F} |> map(fn: (r) => ({r with h: date.hour(t: r._time), m: date.minute(t: r._time), w: date.weekDay(t: r._time), y: date.year(t: r._time)}))`,
  `import "date"\n${F} |> map(fn: (r) => ({r with _time: date.truncate(t: r._time, unit: 1h)}))`,
  `import "date"\n${NOW}from(bucket: "aggregates") |> range(start: date.truncate(t: now(), unit: 1mo), stop: date.add(d: 2d, to: date.truncate(t: now(), unit: 1mo)))`,
  `${F} |> toString()`,
  `${F} |> filter(fn: (r) => r._value < 1000.0) |> toInt()`,
  `${I} |> toFloat()`,
  // pivot, fill, union, join
  `${TYPES} |> filter(fn: (r) => r._field == "f" or r._field == "i") |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")`,
  `${TYPES} |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")`,
  `${F} |> pivot(rowKey: ["_time"], columnKey: ["host"], valueColumn: "_value")`,
  `${F} |> group() |> pivot(rowKey: ["_time"], columnKey: ["dc", "host"], valueColumn: "_value")`,
  `${SPRING} |> filter(fn: (r) => r.datacenter_id == "1") |> aggregateWindow(every: 1d, fn: mean) |> group() |> pivot(rowKey: ["_time"], columnKey: ["device"], valueColumn: "_value")`,
  `${F} |> pivot(rowKey: ["nope"], columnKey: ["_field"], valueColumn: "_value")`,
  `${F} |> pivot(rowKey: ["_time"], columnKey: ["nope"], valueColumn: "_value")`,
  `${F} |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "nope")`,
  `${F} |> pivot(rowKey: ["_time"], columnKey: ["_time"], valueColumn: "_value")`,
  `import "influxdata/influxdb/schema"\n${TYPES} |> filter(fn: (r) => r._field == "f" or r._field == "i") |> schema.fieldsAsCols()`,
  `${SPRING} |> filter(fn: (r) => r.device == "c") |> aggregateWindow(every: 12h, fn: mean) |> fill(value: 0.0)`,
  `${SPRING} |> filter(fn: (r) => r.device == "c") |> aggregateWindow(every: 12h, fn: mean) |> fill(usePrevious: true)`,
  `${SPRING} |> filter(fn: (r) => r.device == "c") |> aggregateWindow(every: 12h, fn: mean) |> fill(value: 0)`,
  `${SPRING} |> filter(fn: (r) => r.device == "c") |> aggregateWindow(every: 12h, fn: mean) |> fill(column: "new", value: "x")`,
  `${SPRING} |> filter(fn: (r) => r.device == "c") |> aggregateWindow(every: 12h, fn: mean) |> fill()`,
  `a = ${F} |> filter(fn: (r) => r.host == "a")\nb = ${F} |> filter(fn: (r) => r.host == "b")\nunion(tables: [a, b])`,
  `a = ${F} |> filter(fn: (r) => r.host == "a") |> keep(columns: ["_time", "_value"])\nb = ${F} |> filter(fn: (r) => r.host == "b") |> keep(columns: ["_value", "dc"])\nunion(tables: [a, b])`,
  `a = ${F} |> keep(columns: ["_value"])\nb = ${I} |> keep(columns: ["_value"])\nunion(tables: [a, b])`,
  `union(tables: [${F}])`,
  `a = ${F} |> filter(fn: (r) => r.dc == "1")\nb = ${I} |> filter(fn: (r) => r.dc == "1")\njoin(tables: {a: a, b: b}, on: ["_time", "host"])`,
  // sequences
  `${TEN} |> cumulativeSum()`,
  `${TEN} |> difference()`,
  `${TEN} |> difference(nonNegative: true)`,
  `${TEN} |> difference(keepFirst: true)`,
  `${TEN} |> derivative(unit: 1s)`,
  `${TEN} |> derivative(unit: 1m, nonNegative: true)`,
  `${TEN} |> elapsed()`,
  `${TEN} |> elapsed(unit: 1ms, columnName: "ms")`,
  `${I} |> filter(fn: (r) => r.host == "a") |> difference()`,
  `${TYPES} |> filter(fn: (r) => r._field == "u" and r.dc == "1") |> difference()`,
  `${TYPES} |> filter(fn: (r) => r._field == "s") |> difference()`,
  `${TEN} |> timeShift(duration: 1h)`,
  `${TEN} |> timeShift(duration: -1mo, columns: ["_time"])`,
  // yield
  `${F} |> yield(name: "f")`,
  `${F} |> yield()`,
  `${F} |> yield(name: "raw") |> mean() |> yield(name: "mean")`,
  `${F} |> yield(name: "raw") |> mean()`,
  `${F} |> yield(name: "a") |> yield(name: "a")`,
  `${F}\n${I}`,
  `a = ${F}\na |> mean() |> yield(name: "mean")\na |> max() |> yield(name: "max")`,
  `${F} |> filter(fn: (r) => r.host == "none") |> yield(name: "empty")`,
  // arrays
  ARRAY,
  `${ARRAY} |> group(columns: ["k"])`,
  `${ARRAY} |> group(columns: ["k"]) |> mean()`,
  `${ARRAY} |> sum()`,
  `${ARRAY} |> filter(fn: (r) => r.k == "a") |> map(fn: (r) => ({r with _value: r._value + 1.0}))`,
  `${ARRAY} |> sort(columns: ["k", "_value"]) |> limit(n: 2)`,
  `import "array"\narray.from(rows: [])`,
  `import "array"\narray.from(rows: [{a: 1, b: "x"}, {a: 2.0, b: "y"}])`,
  // schema
  ...['schema', 'v1'].flatMap((name) =>
    [
      `${name}.tagValues(bucket: "aggregates", tag: "datacenter_id", start: -7d)`,
      `${name}.tagValues(bucket: "aggregates", tag: "datacenter_id", start: -1h)`,
      `${name}.tagValues(bucket: "aggregates", tag: "datacenter_id", start: 2024-08-01, stop: 2024-08-26)`,
      `${name}.tagValues(bucket: "aggregates", tag: "datacenter_id", start: 2024-08-01, stop: 2024-08-27)`,
      `${name}.tagKeys(bucket: "aggregates", start: -1h)`,
      `${name}.tagKeys(bucket: "aggregates", start: 2024-08-01, stop: 2024-08-02)`,
      `${name}.measurements(bucket: "aggregates", start: -1h)`,
      `${name}.tagValues(bucket: "measure", tag: "host", start: 2024-01-01)`,
      `${name}.tagValues(bucket: "measure", tag: "nope", start: 2024-01-01)`,
      `${name}.tagValues(bucket: "measure", tag: "_field", predicate: (r) => r._measurement == "mixed", start: 2024-01-01)`,
      `${name}.tagKeys(bucket: "measure", start: 2024-01-01)`,
      `${name}.tagKeys(bucket: "measure", predicate: (r) => r._measurement == "sparse", start: 2024-01-01)`,
      `${name}.measurements(bucket: "measure", start: 2024-01-01)`,
      `${name}.measurements(bucket: "nowhere")`,
      `${name}.fieldKeys(bucket: "measure", start: 2024-01-01)`,
      `${name}.measurementTagValues(bucket: "measure", measurement: "mixed", tag: "host", start: 2024-01-01)`,
      `${name}.measurementTagKeys(bucket: "measure", measurement: "mixed", start: 2024-01-01)`,
      `${name}.measurementFieldKeys(bucket: "measure", measurement: "mixed", start: 2024-01-01)`,
    ].map((call) => `import "influxdata/influxdb/${name}"\n${NOW}${call}`),
  ),
  `${ALL} |> filter(fn: (r) => r._measurement == "mixed") |> keys()`,
  // Grafana's, as its dashboards send them
  `${NOW}import "influxdata/influxdb/v1"\nv1.tagValues(bucket: "aggregates", tag: "datacenter_id", start: -7d)`,
  ...['temperature', 'humidity', 'gas_perc'].flatMap((quantity) =>
    ['avg', 'min', 'max'].map(
      (field) =>
        `from(bucket: "aggregates")\n  |> range(start: 2024-09-01T00:00:00Z, stop: 2024-09-06T00:00:00Z)\n  |> filter(fn: (r) => r["_measurement"] == "${quantity}")\n  |> filter(fn: (r) => r["_field"] == "${field}")\n  |> filter(fn: (r) => r["datacenter_id"] == "1")\n  |> aggregateWindow(every: 1d, fn: mean, createEmpty: false)\n  |> yield(name: "mean")`,
    ),
  ),
  `from(bucket: "aggregates") |> range(start: 2024-09-01T00:00:00Z, stop: 2024-09-06T00:00:00Z) |> filter(fn: (r) => r["_measurement"] == "temperature" or r["_measurement"] == "humidity") |> filter(fn: (r) => r["_field"] == "avg") |> aggregateWindow(every: 12h, fn: last, createEmpty: true) |> fill(usePrevious: true)`,
  `from(bucket: "aggregates") |> range(start: 2024-09-01T00:00:00Z, stop: 2024-09-06T00:00:00Z) |> filter(fn: (r) => r._field == "avg") |> last() |> group() |> sort(columns: ["_measurement", "datacenter_id"])`,
  // user-defined functions, options, operators
  `double = (x) => x * 2.0\n${F} |> map(fn: (r) => ({r with _value: double(x: r._value)}))`,
  `scale = (tables=<-, by=2.0) => tables |> map(fn: (r) => ({r with _value: r._value * by}))\n${F} |> scale(by: 3.0)`,
  `pick = (tables=<-, host) => tables |> filter(fn: (r) => r.host == host)\n${F} |> pick(host: "b")`,
  `pick = (tables=<-, host) => tables |> filter(fn: (r) => r.host == host)\n${F} |> pick()`,
  `every = 1d\n${KOLKATA} |> aggregateWindow(every: every, fn: mean)`,
  `settings = {every: 1d, fn: mean}\n${KOLKATA} |> aggregateWindow(every: settings.every, fn: settings.fn)`,
  `days = [1d, 2d]\n${KOLKATA} |> aggregateWindow(every: days[1], fn: mean)`,
  `// a comment\n${F} // and another\n|> mean()`,
  `package main\n${F} |> mean()`,
  `v = {windowPeriod: 1d, timeRangeStart: 2024-07-01, timeRangeStop: 2024-07-05}\nfrom(bucket: "measure") |> range(start: v.timeRangeStart, stop: v.timeRangeStop) |> filter(fn: (r) => r._measurement == "kolkata") |> aggregateWindow(every: v.windowPeriod, fn: mean)`,
  // what the planner must not confuse
  `${F} |> filter(fn: (r) => r._value > 1.0) |> filter(fn: (r) => r.host == "a") |> aggregateWindow(every: 30m, fn: sum, createEmpty: false)`,
  `${F} |> filter(fn: (r) => r._value > 1.0 and r._value + 1.0 < 100.0) |> count()`,
  `${F} |> group(columns: ["host"]) |> filter(fn: (r) => r._value > 2.0)`,
  `${F} |> group(columns: ["host"]) |> filter(fn: (r) => r._value > 2.0) |> sum()`,
  `${F} |> limit(n: 1) |> mean()`,
  `${F} |> sort(columns: ["_time"], desc: true) |> first()`,
  `${F} |> mean() |> max()`,
  `${F} |> max() |> count()`,
  `${F} |> aggregateWindow(every: 1m, fn: max, createEmpty: false) |> mean()`,
  `${F} |> aggregateWindow(every: 1m, fn: sum, createEmpty: false) |> cumulativeSum()`,
  `${F} |> window(every: 1m) |> window(every: 1h) |> sum()`,
  `${F} |> window(every: 1m) |> group(columns: ["dc"]) |> sum()`,
  `${F} |> window(every: 1m) |> mean() |> group()`,
  `${F} |> window(every: 1m) |> last() |> window(every: inf)`,
  `${F} |> duplicate(column: "_time", as: "when") |> aggregateWindow(every: 1h, fn: count, createEmpty: false)`,
  `${F} |> rename(columns: {_value: "v"}) |> aggregateWindow(every: 1h, fn: sum, column: "v", createEmpty: false)`,
  `${F} |> aggregateWindow(every: 1h, fn: sum, column: "nope")`,
  `${F} |> toInt() |> sum()`,
  `${F} |> filter(fn: (r) => r.host == "a") |> group(columns: ["host", "dc", "_field"]) |> last()`,
  `${F} |> group(columns: ["dc"]) |> first()`,
  `${F} |> group(columns: ["dc"]) |> min()`,
  `${F} |> group() |> aggregateWindow(every: 1h, fn: first, createEmpty: false)`,
  `${F} |> group() |> aggregateWindow(every: 1h, fn: last, createEmpty: false)`,
  `${F} |> group() |> window(every: 1h) |> max()`,
  `${F} |> group() |> window(every: 1h) |> spread()`,
  `${TYPES} |> aggregateWindow(every: 1h, fn: last, createEmpty: false)`,
  `${TYPES} |> aggregateWindow(every: 1h, fn: count)`,
  `${TYPES} |> aggregateWindow(every: 1h, fn: mean)`,
  `${NEW_YORK}${TYPES} |> aggregateWindow(every: 1h, fn: last, createEmpty: false)`,
  `${NEW_YORK}${SPRING} |> aggregateWindow(every: 1d, offset: 6h, fn: mean)`,
  `${NEW_YORK}${SPRING} |> aggregateWindow(every: 1d, period: 2d, fn: count)`,
  `${NEW_YORK}${SPRING} |> group() |> aggregateWindow(every: 1d, fn: sum)`,
  `${NEW_YORK}${SPRING} |> filter(fn: (r) => r._value + 0.0 > 5.0) |> aggregateWindow(every: 1d, fn: count)`,
  `${ALL} |> group(columns: ["_measurement"]) |> count()`,
  `${ALL} |> last() |> keep(columns: ["_time", "_measurement", "_field"])`,
  // errors
  ``,
  `x = `,
  `1 + 1`,
  `x = 1`,
  `"a" + 1`,
  `foo()`,
  `${F} |> foo()`,
  `${F} |> holtWinterz(n: 1)`,
  `import "foo"`,
  `import "strings"\nstrings.foo()`,
  `${F} |> filter(fn: (r) => r._value > "x"`,
  `${F} |> filter(fn: (r) => r._measurement =~ /[/)`,
  `${F} |> filter()`,
  `${F} |> filter(fn: (x, y) => true)`,
  `${F} |> filter(fn: (r) => "a")`,
  `${F} | mean()`,
  `${F} |> mean`,
  `from(bucket: "measure" |> range(start: -1h)`,
  `"unterminated`,
  `from(bucket: 'measure')`,
  `${F} |> limit(n: 1, n: 2)`,
  `range(start: -1h)`,
  `mean()`,
];

/** Each query once. */
export const corpus: readonly string[] = [...new Set(queries)];
