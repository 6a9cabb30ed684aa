/**
 * What an imitated station measures at an instant: a buoy on a temperate lake and a sensor in a room. Everything follows
 * from the instant alone, so two runs agree, and it changes smoothly, so a plot looks like a lake.
 */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const YEAR_MS = 365.25 * DAY_MS;
/** The warmest day of the year for the air and the lake's surface, and for its bottom, which lags behind. */
const WARMEST_DAY = 204;
const WARMEST_BOTTOM_DAY = 262;
/** Solar noon of the lake (80° W), in hours UTC. */
const SOLAR_NOON_UTC = 17.3;

export const BUOY_FINGERPRINT = 8394611;
export const ROOM_FINGERPRINT = 8394527;
const DEPTHS_M = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] as const;

/** The weather and the water temperature (°C) at ten depths (m) below a buoy; `at` in ms since 1970. */
export function buoyReading(at: number): Record<string, number> {
  const surface = 15.5 + 11 * yearly(at, WARMEST_DAY) + 0.8 * noise(1, at, 60 * HOUR_MS);
  // Denser water sinks: the bottom is never warmer than the surface, and in winter they are one.
  const bottom = Math.min(surface, 8.5 + 3.5 * yearly(at, WARMEST_BOTTOM_DAY));
  // Wind and cooling drive the thermocline deeper from summer to autumn.
  const thermocline = 4.2 - 2 * yearly(at, WARMEST_DAY - 60) + 0.3 * noise(2, at, 9 * HOUR_MS);
  const water = DEPTHS_M.map((depth) => {
    const share = 1 / (1 + Math.exp((depth - thermocline) / 0.7));
    const sun = 0.7 * Math.exp(-depth / 0.9) * daily(at, 3.5);
    return bottom + (surface - bottom) * share + sun + 0.08 * noise(10 + depth, at, HOUR_MS);
  });
  const weather = 4 * noise(3, at, 40 * HOUR_MS);
  const air = 13 + 11.5 * yearly(at, WARMEST_DAY - 4) + weather + 5 * daily(at, 2.5) + 0.3 * noise(4, at, HOUR_MS / 2);
  const humidity = 72 - 2.2 * weather - 16 * daily(at, 2.5) + 5 * noise(5, at, 3 * HOUR_MS);
  const wind = 2 + 1.1 * daily(at, 2) + 1.2 * noise(6, at, 7 * HOUR_MS) + 0.6 * noise(7, at, HOUR_MS / 12);
  return {
    ...Object.fromEntries(DEPTHS_M.map((depth, index) => [`wtr_${depth}`, rounded(water[index]!, 3)])),
    air_temp_c: rounded(air, 2),
    rh_pct: rounded(Math.min(100, Math.max(15, humidity)), 1),
    wind_ms: rounded(Math.max(0, wind), 2),
  };
}

/** What one of the predecessor's room sensors sends, without the ids; `at` in ms since 1970. */
export function roomReading(at: number): { humidity: number; temperature: number; gas_perc: number } {
  return {
    humidity: rounded(41 - 2 * daily(at, 2) + 2.5 * noise(21, at, 2 * HOUR_MS), 1),
    temperature: rounded(22.5 + daily(at, 3) + 0.6 * noise(22, at, HOUR_MS), 1),
    gas_perc: rounded(17 + 1.5 * noise(23, at, HOUR_MS / 2), 1),
  };
}

/** 1 on the given day of the year, -1 half a year later. */
function yearly(at: number, warmestDay: number): number {
  return Math.cos((2 * Math.PI * (at - warmestDay * DAY_MS)) / YEAR_MS);
}

/** 1 so many hours after solar noon, -1 half a day later. */
function daily(at: number, hoursAfterNoon: number): number {
  return Math.cos((2 * Math.PI * (at - (SOLAR_NOON_UTC + hoursAfterNoon) * HOUR_MS)) / DAY_MS);
}

/** Smooth noise from -1 to 1: random values one `period` (ms) apart, joined without edges. */
function noise(channel: number, at: number, period: number): number {
  const step = Math.floor(at / period);
  const part = at / period - step;
  const eased = part * part * (3 - 2 * part);
  return hashed(channel, step) * (1 - eased) + hashed(channel, step + 1) * eased;
}

/** A value from -1 to 1 that looks random and depends only on its arguments (an integer mixer). */
function hashed(channel: number, step: number): number {
  let mixed = Math.imul(channel + 1, 0x9e3779b1) ^ Math.imul(step | 0, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x7feb352d);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b);
  return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 31 - 1;
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
