import { describe, expect, test } from 'vitest';
import { buoyReading, roomReading } from '../../src/core/station.ts';

const at = (text: string) => Date.parse(text);
const HOUR_MS = 3_600_000;

/** Every 7 hours over two years. */
const instants = Array.from({ length: 2_500 }, (_, index) => at('2025-01-01T00:00:00Z') + index * 7 * HOUR_MS);

describe('the buoy', () => {
  test('has ten depths, air temperature, humidity and wind', () => {
    const depths = Array.from({ length: 10 }, (_, depth) => `wtr_${depth}`);
    expect(Object.keys(buoyReading(0))).toEqual([...depths, 'air_temp_c', 'rh_pct', 'wind_ms']);
  });

  test('measures the same at the same instant, and little else ten seconds later', () => {
    for (const instant of instants.slice(0, 300)) {
      const now = buoyReading(instant);
      expect(buoyReading(instant)).toEqual(now);
      for (const [key, value] of Object.entries(buoyReading(instant + 10_000))) {
        expect(Math.abs(value - now[key]!)).toBeLessThan(key.startsWith('wtr') ? 0.02 : 0.3);
      }
    }
  });

  test('stays plausible over the years', () => {
    for (const instant of instants) {
      const {
        air_temp_c: air,
        rh_pct: humidity,
        wind_ms: wind,
        ...water
      } = buoyReading(instant) as Record<string, number> & {
        air_temp_c: number;
        rh_pct: number;
        wind_ms: number;
      };
      for (const temperature of Object.values(water))
        expect(temperature).toSatisfy((value: number) => value > 2 && value < 31);
      expect(air).toSatisfy((value: number) => value > -15 && value < 40);
      expect(humidity).toSatisfy((value: number) => value >= 15 && value <= 100);
      expect(wind).toSatisfy((value: number) => value >= 0 && value < 10);
    }
  });

  test('is stratified in summer and mixed in winter, and the thermocline sinks towards autumn', () => {
    const july = buoyReading(at('2026-07-20T12:00:00Z'));
    const january = buoyReading(at('2026-01-20T12:00:00Z'));
    const september = buoyReading(at('2026-09-25T12:00:00Z'));
    expect(july.wtr_0! - july.wtr_9!).toBeGreaterThan(12);
    expect(Math.abs(january.wtr_0! - january.wtr_9!)).toBeLessThan(1.5);
    expect(september.wtr_4! - september.wtr_9!).toBeGreaterThan(july.wtr_4! - july.wtr_9!);
  });

  test('warms by day at the surface, not at the bottom', () => {
    const days = Array.from({ length: 30 }, (_, day) => at('2026-07-01T00:00:00Z') + day * 24 * HOUR_MS);
    const difference = (key: string) =>
      days.reduce((sum, day) => sum + buoyReading(day + 21 * HOUR_MS)[key]! - buoyReading(day + 9 * HOUR_MS)[key]!, 0) /
      days.length;
    expect(difference('wtr_0')).toBeGreaterThan(0.8);
    expect(Math.abs(difference('wtr_9'))).toBeLessThan(0.1);
    expect(difference('air_temp_c')).toBeGreaterThan(7);
  });
});

describe('the room sensor', () => {
  test("sends the predecessor's quantities in plausible sizes", () => {
    for (const instant of instants) {
      const { humidity, temperature, gas_perc } = roomReading(instant);
      expect(humidity).toSatisfy((value: number) => value > 30 && value < 55);
      expect(temperature).toSatisfy((value: number) => value > 18 && value < 27);
      expect(gas_perc).toSatisfy((value: number) => value > 14 && value < 20);
    }
  });
});
