import { expect, it } from 'vitest';
import {
  readableBytes,
  readableLatency,
  readablePart,
  readableShare,
  readableTime,
} from '../../../agent/dashboard/amounts.js';

const MiB = 1024 ** 2;

it('says amounts of bytes in three digits', () => {
  const said = [0, 999, 1000, 1023, 1536, 9.94 * 1024, 34 * MiB, 999.6 * MiB, 1e18].map(readableBytes);
  expect(said).toEqual([
    '0 B',
    '999 B',
    '1.0 KiB',
    '1.0 KiB',
    '1.5 KiB',
    '9.9 KiB',
    '34 MiB',
    '1.0 GiB',
    '909495 TiB',
  ]);
});

it('says a part in the unit of the whole', () => {
  expect(readablePart(512, 600)).toBe('512 of 600 B');
  expect(readablePart(1000, 60 * MiB)).toBe('0.0 of 60.0 MiB');
  expect(readablePart(12.34 * MiB, 60 * MiB)).toBe('12.3 of 60.0 MiB');
});

it('never rounds a share to all or nothing', () => {
  expect(readableShare(0, 0)).toBe('–');
  const said = [0, 1, 500, 998, 999, 1000].map((part) => readableShare(part, 1000));
  expect(said).toEqual(['0 %', '< 1 %', '50 %', '> 99 %', '> 99 %', '100 %']);
});

it('says times in their two largest units', () => {
  const said = [-5, 400, 59_400, 59_600, 185_000, 7_380_000, 349_200_000].map(readableTime);
  expect(said).toEqual(['0 s', '0 s', '59 s', '1 min', '3 min 5 s', '2 h 3 min', '4 d 1 h']);
  expect([null, 0.42, 12.3, 1234].map(readableLatency)).toEqual(['–', '0.4 ms', '12 ms', '1.2 s']);
});
