/** Times of readings: nanoseconds since 1970 as `bigint`, never through a float. */

const NS_PER_MS = 1_000_000n;
const NS_PER_S = 1_000_000_000n;
/** 2000-01-01T00:00:00Z: what is before was measured by a clock that was never set. */
const EARLIEST = 946_684_800n * NS_PER_S;
const ONE_DAY = 86_400n * NS_PER_S;

/** Nanoseconds per unit of an epoch time; within the accepted years no number fits two of them. */
const EPOCH_UNITS = [NS_PER_S, NS_PER_MS, 1_000n, 1n];

/**
 * A payload's `time` or `timestamp`: ISO 8601 (a time without an offset is UTC), or epoch seconds, milliseconds,
 * microseconds or nanoseconds told apart by their size. Digits finer than a nanosecond are cut off.
 * @param written the text of the string, or the number as it is written in the JSON
 * @param receivedAt when the message arrived; a time more than a day later is not believed. It is the arrival
 *   and not the clock that decides, so a message fired again gets the same time again.
 * @returns undefined if it is no time from 2000-01-01 to a day after `receivedAt`
 */
export function parseTime(written: string, receivedAt: bigint): bigint | undefined {
  const latest = receivedAt + ONE_DAY;
  const candidates = epochCandidates(written) ?? [parseIso(written)];
  return candidates.find((time) => time !== undefined && time >= EARLIEST && time <= latest);
}

const DECIMAL = /^\s*(\d+)(?:\.(\d*))?(?:[eE]\+?(\d{1,2}))?\s*$/;

function epochCandidates(written: string): bigint[] | undefined {
  if (written.length > 64) return undefined;
  const match = DECIMAL.exec(written);
  if (!match) return undefined;
  const [, whole = '', fraction = '', exponent = '0'] = match;
  return EPOCH_UNITS.map((unit) => {
    // digits * 10^(exponent - fraction.length) units, divided last so that nothing is rounded on the way
    const digits = BigInt(whole + fraction) * 10n ** BigInt(exponent) * unit;
    return digits / 10n ** BigInt(fraction.length);
  });
}

const ISO_8601 =
  /^\s*(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,30}))?)?\s*([Zz]|[+-]\d\d(?::?\d\d)?)?)?\s*$/;

function parseIso(written: string): bigint | undefined {
  if (written.length > 64) return undefined;
  const match = ISO_8601.exec(written);
  if (!match) return undefined;
  const [, year, month, day, hour = '0', minute = '0', second = '0', fraction = '', offset = 'Z'] = match;
  // a leap second, :60, is the first second of the next minute, as in POSIX time
  if (+hour > 23 || +minute > 59 || +second > 60) return undefined;
  const midnight = Date.UTC(+year!, +month! - 1, +day!);
  if (new Date(midnight).getUTCDate() !== +day! || +month! < 1 || +month! > 12) return undefined;
  const seconds = midnight / 1000 + +hour * 3600 + +minute * 60 + +second - offsetSeconds(offset);
  return BigInt(seconds) * NS_PER_S + BigInt(fraction.slice(0, 9).padEnd(9, '0'));
}

function offsetSeconds(offset: string): number {
  if (offset === 'Z' || offset === 'z') return 0;
  const digits = offset.slice(1).replace(':', '').padEnd(4, '0');
  const seconds = +digits.slice(0, 2) * 3600 + +digits.slice(2) * 60;
  return offset.startsWith('-') ? -seconds : seconds;
}

let last = 0n;

/** The present in ns, strictly increasing within the process: two readings never share an instant by accident. */
export function now(): bigint {
  const time = BigInt(Date.now()) * NS_PER_MS + (process.hrtime.bigint() % NS_PER_MS);
  last = time > last ? time : last + 1n;
  return last;
}
