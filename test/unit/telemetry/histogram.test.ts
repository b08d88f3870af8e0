import { expect, it } from 'vitest';
import { Histogram } from '../../../agent/telemetry/histogram.ts';

it('knows every quantile within 10 %', () => {
  const histogram = new Histogram();
  const times = Array.from({ length: 5_000 }, (_, n) => 0.2 * 1.0025 ** n);
  for (const ms of times) histogram.add(ms);
  for (const part of [0.01, 0.1, 0.5, 0.9, 0.99, 1]) {
    const exact = times[Math.ceil(part * times.length) - 1] ?? 0;
    if (exact > 300_000) continue;
    expect(Math.abs((histogram.quantile(part) ?? 0) / exact - 1), `${part}`).toBeLessThan(0.1);
  }
  expect(histogram.count).toBe(5_000);
});

it('has none before the first time, and bears any number', () => {
  const histogram = new Histogram();
  expect(histogram.quantile(0.5)).toBeUndefined();
  for (const ms of [0, -1, 1e9, 0.125]) histogram.add(ms);
  expect(histogram.quantile(0.5)).toBeLessThanOrEqual(0.125);
  expect(histogram.quantile(1)).toBeGreaterThan(250_000);
  expect(histogram.doublings().at(-1)?.count).toBe(4);
});
